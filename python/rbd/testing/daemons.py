"""The owner's side of the supervisor: start, signal and watch a cluster's daemons."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import programs
from .errors import ClusterError, ClusterTimeout, DaemonDied

_SUPERVISOR = str(Path(__file__).with_name("_supervisor.py"))
_ANSWER_SECONDS = 30.0
_TAIL_LINES = 20


class Daemons:
    """The processes of one cluster, which end with it.

    They write to `logs`. When all have ended, the directories in `remove` are deleted, even if the
    owner dies.
    """

    def __init__(self, logs: Path, remove: Sequence[Path] = ()) -> None:
        self._logs = logs
        self._remove = tuple(remove)
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._requests = 0
        self._expected: set[str] = set()
        # Packets, so that a Ctrl-C between request and answer cannot leave half a line.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_ANSWER_SECONDS)
        self._channel = ours
        with theirs, open(logs / "supervisor.out", "ab") as output:
            self._process = subprocess.Popen(
                [*programs.python(), _SUPERVISOR, str(self._owner), *map(str, remove)],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                cwd="/",
                env=programs.environment(),
                # A terminal's Ctrl-C is for the owner. The owner decides when the daemons end.
                start_new_session=True,
            )

    def _request(self, op: str, **arguments: Any) -> dict[str, Any]:
        if os.getpid() != self._owner:
            raise ClusterError(f"the cluster belongs to process {self._owner}, not to its fork")
        with self._lock:
            self._requests += 1
            request = {"op": op, "id": self._requests, **arguments}
            try:
                self._channel.send(json.dumps(request).encode())
                while True:
                    packet = self._channel.recv(1 << 20)
                    if not packet:
                        raise ConnectionResetError("it has ended")
                    answer: dict[str, Any] = json.loads(packet)
                    if answer["id"] == self._requests:
                        break
            except OSError as error:
                raise ClusterError(f"the cluster's daemons are gone: {error}") from error
        if "error" in answer:
            raise ClusterError(
                f"cannot {op} {arguments.get('name', 'a daemon')}: {answer['error']}"
            )
        return answer

    def output_path(self, name: str) -> Path:
        """Return the file that the daemon's output goes to."""
        return self._logs / f"{name}.out"

    def start(self, name: str, argv: Sequence[str], *, job: bool = False) -> int:
        """Start a daemon under a name. Return its process id. A `job` may end by itself."""
        answer = self._request("start", name=name, argv=list(argv), log=str(self.output_path(name)))
        if not job:
            self._expected.add(name)
        return int(answer["pid"])

    def send(self, name: str, number: int) -> None:
        """Send a signal to a daemon, unless it has ended."""
        self._request("signal", name=name, signal=int(number))

    def status(self) -> dict[str, int | None]:
        """Return each daemon's exit status; None while it runs."""
        status: dict[str, int | None] = self._request("status")["status"]
        return status

    def running(self, name: str) -> bool:
        """Return whether the daemon was started and has not ended."""
        return self.status().get(name, -1) is None

    def wait(self, name: str, timeout: float) -> int:
        """Wait until a daemon or job has ended. Return its exit status."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status()[name]
            if status is not None:
                self._expected.discard(name)
                return status
            if time.monotonic() > deadline:
                raise ClusterTimeout(f"{name} did not end within {timeout:g} s")
            time.sleep(0.002)

    def end(self, name: str, number: signal.Signals, timeout: float) -> int:
        """End a daemon by a signal and wait for it. Return its exit status."""
        self._expected.discard(name)
        self.send(name, number)
        return self.wait(name, timeout)

    def check(self) -> None:
        """Raise DaemonDied if a daemon has ended without a request."""
        for name, status in self.status().items():
            if status is not None and name in self._expected:
                raise self.died(name, status)

    def died(self, name: str, status: int) -> DaemonDied:
        """Return the error for a daemon that ended by itself."""
        how = f"signal {-status}" if status < 0 else f"status {status}"
        log = self.tail(name)
        return DaemonDied(f"{name} ended with {how}; the end of its log:\n{log}", name, status, log)

    def tail(self, name: str) -> str:
        """Return the last lines of what a daemon printed and logged."""
        lines: list[str] = []
        for path in (self._logs / f"{name}.log", self.output_path(name)):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            lines += [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
        return "\n".join(lines)

    def close(self) -> None:
        """Kill every daemon, wait until all are gone, and remove the directories. Twice does
        nothing."""
        if os.getpid() != self._owner:
            return
        # The end of the stream asks the supervisor to stop, without blocking. close() alone would
        # not reach the supervisor while a forked child holds the socket too.
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
        try:
            self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            # Its death kills the daemons at the latest.
            self._process.kill()
            self._process.wait()
        for directory in self._remove:
            # The supervisor has removed it, unless it was killed.
            if directory.exists():
                shutil.rmtree(directory, ignore_errors=True)
