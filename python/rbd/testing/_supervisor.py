"""The process that starts a local cluster's daemons, and ends shortly after their owner.

The program runs without the package (``python -I -S _supervisor.py OWNER_PID [DIRECTORY...]``) and
needs only the standard library. Its standard input is one end of a socket pair. The kernel kills a
daemon when the *thread* that started it ends. Therefore this process, which has one thread, starts
the daemons, and not the owner's thread that asked for a cluster. When the owner is gone, for any
reason, this process kills the daemons and removes the directories.

A request is one JSON packet. It has one answer, which repeats its "id".
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
# For a kernel without pidfd: the interval in which to check whether the owner still lives.
OWNER_POLL_SECONDS = 0.1

_libc = ctypes.CDLL(None)
_supervisor_pid = os.getpid()


def _die_with_supervisor() -> None:
    """Run between fork and exec. If even the supervisor is killed, the kernel kills the daemons
    too."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != _supervisor_pid:
        os._exit(1)


class Supervisor:
    def __init__(self, owner: int, channel: socket.socket) -> None:
        self.owner = owner
        self.channel = channel
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def serve(self) -> None:
        """Answer requests until "stop", or until the owner is gone."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        timeout = None
        try:
            # A forked child of the owner keeps the socket open, so the end of the stream is not
            # enough.
            poll.register(os.pidfd_open(self.owner), select.POLLIN)
        except (AttributeError, OSError):
            timeout = OWNER_POLL_SECONDS * 1000
        while os.getppid() == self.owner:
            ready = [fd for fd, _ in poll.poll(timeout)]
            if self.channel.fileno() not in ready:
                if ready:
                    return
                continue
            packet = self.channel.recv(1 << 20)
            if not packet:
                return
            request = json.loads(packet)
            if request["op"] == "stop":
                return
            try:
                answer = getattr(self, "do_" + request["op"])(request)
            except (OSError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answer["id"] = request["id"]
            self.channel.send(json.dumps(answer).encode())

    def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        with open(request["log"], "ab") as log:
            daemon = subprocess.Popen(
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_supervisor,
            )
        self.daemons[request["name"]] = daemon
        return {"pid": daemon.pid}

    def do_signal(self, request: dict[str, Any]) -> dict[str, Any]:
        # Popen.send_signal() polls first, so it never signals a reused process id.
        self.daemons[request["name"]].send_signal(request["signal"])
        return {}

    def do_status(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the exit status of each daemon started so far; None while it runs."""
        return {"status": {name: daemon.poll() for name, daemon in self.daemons.items()}}

    def kill_all(self) -> None:
        for daemon in self.daemons.values():
            if daemon.poll() is None:
                daemon.kill()
        for daemon in self.daemons.values():
            daemon.wait()


def _interrupted(*_: object) -> None:
    raise SystemExit(1)


def main() -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, _interrupted)
    # The daemons must not inherit the signals that the owner's thread has blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    supervisor = Supervisor(int(sys.argv[1]), socket.socket(fileno=0))
    try:
        supervisor.serve()
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        supervisor.kill_all()
        if sys.argv[2:]:
            import shutil  # only needed here, and slow to load

            for directory in sys.argv[2:]:
                shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
