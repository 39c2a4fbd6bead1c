"""A few calls of the installed librados, in a separate process.

The program runs without the package (``python -I -S _librados.py CONFFILE``) and needs only the
standard library. Therefore no Ceph library is loaded into the process under test. A command to a
monitor takes some milliseconds; the ``ceph`` tool takes a third of a second to start.

A request is one line of JSON on standard input. The answer is one line on standard output:
{"result": ...}, or {"error": text, "errno": number}. The process ends when its input ends.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import queue
import sys
import threading
from typing import Any, Callable

_POINTER = ctypes.POINTER


class Failure(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.errno = code
        self.text = text


def _load(soname: str, variable: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(soname)
    except OSError:
        # The variables that the package itself uses name the libraries of a Ceph in another place.
        if os.environ.get(variable):
            return ctypes.CDLL(os.environ[variable])
        raise


class Client:
    """A connection as client.admin."""

    def __init__(self, conffile: str) -> None:
        self.conffile = conffile
        self.cluster = ctypes.c_void_p()
        self.lib: Any = None

    def check(self, code: int, what: str) -> None:
        if code < 0:
            raise Failure(-code, f"{what}: {os.strerror(-code)}")

    def do_connect(self, timeout: float) -> None:
        lib = self.lib = _load("librados.so.2", "RADOS_LIBRARY")
        self.check(lib.rados_create(ctypes.byref(self.cluster), b"admin"), "rados_create")
        path = os.fsencode(self.conffile)
        self.check(lib.rados_conf_read_file(self.cluster, path), "rados_conf_read_file")
        # A monitor that has just begun to listen may refuse the first attempt. A caller that waits
        # for a daemon asks again, so a lost answer must not take long.
        settings = {
            "client_mount_timeout": f"{max(1, int(timeout))}",
            "ms_initial_backoff": "0.01",
            "rados_mon_op_timeout": "15",
            "rados_osd_op_timeout": "5",
        }
        for name, value in settings.items():
            lib.rados_conf_set(self.cluster, name.encode(), value.encode())
        self.check(lib.rados_connect(self.cluster), "connecting to the monitor")

    def _command(self, call: Callable[..., int], *target: Any, **command: Any) -> Any:
        text = json.dumps({**command, "format": "json"}).encode()
        output, status = ctypes.c_void_p(), ctypes.c_void_p()
        output_length, status_length = ctypes.c_size_t(), ctypes.c_size_t()
        code = call(
            self.cluster,
            *target,
            (ctypes.c_char_p * 1)(text),
            ctypes.c_size_t(1),
            b"",
            ctypes.c_size_t(0),
            ctypes.byref(output),
            ctypes.byref(output_length),
            ctypes.byref(status),
            ctypes.byref(status_length),
        )
        answer = ctypes.string_at(output, output_length.value) if output.value else b""
        message = ctypes.string_at(status, status_length.value) if status.value else b""
        for buffer in (output, status):
            if buffer.value:
                self.lib.rados_buffer_free(buffer)
        if code < 0:
            said = message.decode(errors="replace") or os.strerror(-code)
            raise Failure(-code, f"{command['prefix']}: {said}")
        return json.loads(answer) if answer.strip() else None

    def do_mon_command(self, **command: Any) -> Any:
        return self._command(self.lib.rados_mon_command, **command)

    def do_pg_states(self, pool: int, pg_num: int) -> dict[str, str]:
        """Return the state of each placement group of a pool, as its OSD reports it.

        Without a manager, nothing else knows it.
        """
        states = {}
        for number in range(pg_num):
            pgid = f"{pool}.{number:x}"
            try:
                answer = self._command(
                    self.lib.rados_pg_command, pgid.encode(), prefix="pg", pgid=pgid, cmd="query"
                )
                states[pgid] = answer["state"]
            except Failure as failure:
                states[pgid] = errno.errorcode.get(failure.errno, str(failure.errno))
        return states

    def do_pool_init(self, pool: str) -> None:
        """Do what ``rbd pool init`` does."""
        librbd = _load("librbd.so.1", "RBD_LIBRARY")
        librbd.rbd_pool_init.argtypes = [ctypes.c_void_p, ctypes.c_bool]
        ioctx = ctypes.c_void_p()
        code = self.lib.rados_ioctx_create(self.cluster, pool.encode(), ctypes.byref(ioctx))
        self.check(code, f"opening pool {pool}")
        try:
            self.check(librbd.rbd_pool_init(ioctx, False), f"initializing pool {pool} for images")
        finally:
            self.lib.rados_ioctx_destroy(ioctx)


def _read_requests(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    # The owner is done, or gone. The main thread may be inside librados for a long time.
    os._exit(0)


def main() -> None:
    client = Client(sys.argv[1])
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        answer: dict[str, Any]
        try:
            answer = {"result": getattr(client, "do_" + request.pop("op"))(**request)}
        except Failure as failure:
            answer = {"error": failure.text, "errno": failure.errno}
        except OSError as error:
            answer = {"error": str(error), "errno": error.errno or errno.ENOENT}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
