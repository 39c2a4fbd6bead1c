"""How to find the processes of a local cluster."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Callable

# Seconds. The limit is generous; correct code never reaches it.
PATIENCE = 60.0


def command_line(pid: int) -> bytes:
    """Return the command line of a process; nothing if it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def processes(directory: Path, program: str = "") -> list[int]:
    """Return the processes that have the directory and the program in their command line."""
    words = (os.fsencode(directory), os.fsencode(program))
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if all(word in command_line(pid) for word in words)]


def gone(directory: Path) -> bool:
    """Return whether a cluster has left neither a process nor its directory."""
    return not processes(directory) and not directory.exists()


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
