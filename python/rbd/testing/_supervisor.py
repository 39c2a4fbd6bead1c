"""The process that starts a local cluster's daemons and outlives their owner by a moment.

It runs on its own (``python -I -S _supervisor.py OWNER_PID [DIRECTORY...]``), with one end of a
socket pair as its standard input, and needs nothing but the standard library. The kernel kills
the daemons when the *thread* that started them ends, so they are started here, where there is one
thread, and not in whatever thread of the owner asked for a cluster. When the owner is gone, by
whatever signal, the daemons are killed and the directories removed.

A request is one JSON packet and has one answer, which repeats its "id".
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
# Only where the kernel has no pidfd: how often to look whether the owner still lives.
OWNER_POLL_SECONDS = 0.1

_libc = ctypes.CDLL(None)
_supervisor_pid = os.getpid()


def _die_with_supervisor() -> None:
    """Run between fork and exec: should even the supervisor be killed, the daemons go too."""
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
            # A forked child of the owner keeps the socket open, so its end is not enough.
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
        # Popen.send_signal() polls first, so a reused process id is never hit.
        self.daemons[request["name"]].send_signal(request["signal"])
        return {}

    def do_status(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tell the exit status of each daemon started so far, None while it runs."""
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
    # What the owner's thread had blocked, the daemons must not inherit.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    supervisor = Supervisor(int(sys.argv[1]), socket.socket(fileno=0))
    try:
        supervisor.serve()
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        supervisor.kill_all()
        if sys.argv[2:]:
            import shutil  # not needed until here, and slow to load

            for directory in sys.argv[2:]:
                shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
