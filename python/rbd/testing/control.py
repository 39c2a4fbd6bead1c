"""The owner's side of the short-lived librados client that sets up a cluster and watches it."""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from . import programs
from .errors import ClusterError, ClusterTimeout

_CLIENT = str(Path(__file__).with_name("_librados.py"))
_PAUSE_SECONDS = 0.02


class Control:
    """A connection to the cluster, in another process; a context manager.

    Each wait ends at the common deadline, `timeout` seconds from now, or as soon as `check` raises.
    """

    def __init__(
        self, conffile: str, errors: Path, timeout: float, check: Callable[[], None]
    ) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._check = check
        self._errors = errors
        self._rest = b""
        self._state = "the monitor did not answer"
        with open(errors, "ab") as stderr:
            self._process = subprocess.Popen(
                [*programs.python(), _CLIENT, conffile],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                cwd="/",
                env=programs.environment(),
                # A terminal's Ctrl-C does not reach it. It ends when its owner ends or closes it.
                start_new_session=True,
            )

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process. It holds no state that must be saved."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def remaining(self) -> float:
        """Return the seconds left. Raises ClusterTimeout if there are none."""
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise ClusterTimeout(f"{self._state}, after {self._timeout:.3g} s")
        return remaining

    def _ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
        except BrokenPipeError:
            raise self._ended() from None
        while b"\n" not in self._rest:
            self._check()
            if select.select([stdout], [], [], min(0.1, self.remaining()))[0]:
                data = stdout.read(65536)
                if not data:
                    raise self._ended()
                self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> ClusterError:
        said = self._errors.read_text(errors="replace").strip()
        return ClusterError(f"the client that sets up the cluster ended: {said}")

    def ask(self, op: str, **arguments: Any) -> Any:
        """Make one call. Raises ClusterError, which says why it failed."""
        answer = self._ask(op, **arguments)
        if "error" in answer:
            raise ClusterError(answer["error"])
        return answer["result"]

    def connect(self) -> None:
        """Connect to the monitor."""
        self.ask("connect", timeout=self.remaining())

    def mon_command(self, prefix: str, **arguments: Any) -> Any:
        """Run a command on the monitor. Return its parsed answer."""
        return self.ask("mon_command", prefix=prefix, **arguments)

    def create_pool(self, name: str, pg_num: int, size: int | None) -> None:
        """Create a replicated pool."""
        self.mon_command("osd pool create", pool=name, pg_num=pg_num, pgp_num=pg_num)
        if size is not None:
            for variable, value in (("size", size), ("min_size", max(1, size - 1))):
                self.mon_command(
                    "osd pool set",
                    pool=name,
                    var=variable,
                    val=str(value),
                    yes_i_really_mean_it=True,
                )

    def enable_application(self, pool: str, application: str) -> None:
        """Set the application of a pool. For images, prepare the pool as ``rbd pool init`` does."""
        if application == "rbd":
            self.ask("pool_init", pool=pool)
        else:
            self.mon_command("osd pool application enable", pool=pool, app=application)

    def osds(self) -> dict[int, dict[str, Any]]:
        """Return what the monitor knows about each OSD: up, in, up_from and so on."""
        return {osd["osd"]: osd for osd in self.mon_command("osd dump")["osds"]}

    def wait_up(self, later_than: dict[int, int]) -> None:
        """Wait until each OSD is up and in, since a later epoch than the one in `later_than`."""
        while True:
            osds = self.osds()
            missing = [
                number
                for number, epoch in later_than.items()
                if number not in osds
                or not (osds[number]["up"] and osds[number]["in"])
                or osds[number]["up_from"] <= epoch
            ]
            if not missing:
                return
            self._pause(f"osd.{missing[0]} is not up")

    def wait_clean(self, pools: set[str] | None = None) -> None:
        """Wait until all placement groups of all pools, or of some, are active and clean."""
        while True:
            waiting: dict[str, str] = {}
            for pool in self.mon_command("osd dump")["pools"]:
                if pools is not None and pool["pool_name"] not in pools:
                    continue
                states = self.ask("pg_states", pool=pool["pool"], pg_num=pool["pg_num"])
                waiting.update(
                    (pgid, state)
                    for pgid, state in states.items()
                    # A scrub adds a word to the state of a placement group that is healthy.
                    if not {"active", "clean"}.issubset(state.split("+"))
                )
            if not waiting:
                return
            self._pause(f"placement groups are not clean: {waiting}")

    def wait_manager(self) -> None:
        """Wait until a manager is active and its modules have loaded."""
        while not self.mon_command("mgr dump")["available"]:
            self._pause("no manager is available")

    def _pause(self, state: str) -> None:
        self._check()
        self._state = state
        time.sleep(min(_PAUSE_SECONDS, self.remaining()))
