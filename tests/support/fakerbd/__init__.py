"""The failing librbd of fakerbd.cpp: how to build it, and to arm it in a process that has loaded
it."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, Optional, Set

import pytest

SOURCE = Path(__file__).with_name("fakerbd.cpp")


class Kind(enum.IntEnum):
    """The kind of fault of a call; as in fakerbd.cpp."""

    ERROR = 1
    ANSWER = 2
    ADD = 3
    DELAY = 4
    SIZES = 5
    ENLARGE = 6
    AFTER = 7
    GROW = 8
    LINGER = 9


def compiler() -> Optional[str]:
    """Return the C++ compiler, or None."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


needs_compiler = pytest.mark.skipif(
    compiler() is None, reason="no C++ compiler to build the shim with"
)


def include_directory() -> Path:
    """Return the directory of the ABI table: in the source tree, else in the installed package."""
    here = SOURCE.parents[3] / "cpp" / "include"
    if here.is_dir():
        return here
    import rbd

    return Path(rbd.get_include())


def build(directory: Path) -> Path:
    """Compile the library into `directory`."""
    command = compiler()
    assert command is not None
    target = directory / "libfakerbd.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]
    subprocess.run(
        [command, *flags, f"-I{include_directory()}", str(SOURCE), "-o", str(target)]
        + ["-ldl", "-lpthread"],
        check=True,
        timeout=300,
    )
    return target


class Shim:
    """Controls the library that RBD_LIBRARY names, in this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["RBD_LIBRARY"])
        number = ctypes.c_longlong
        self._library.fakerbd_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, number, number, number]
        self._library.fakerbd_disarm.restype = number
        self._library.fakerbd_last.restype = ctypes.c_char_p
        self._library.fakerbd_late.argtypes = [number]
        self._library.fakerbd_late.restype = None
        self._library.fakerbd_watch.argtypes = [ctypes.c_void_p]
        self._library.fakerbd_watch.restype = None
        self._library.fakerbd_held.argtypes = [ctypes.c_char_p]
        self._library.fakerbd_held.restype = ctypes.c_char_p
        for name in ("fakerbd_calls", "fakerbd_good"):
            getattr(self._library, name).argtypes = [ctypes.c_char_p]
            getattr(self._library, name).restype = number

    def arm(self, name: str, kind: Kind, value: int, *, skip: int = 0, count: int = -1) -> None:
        """Spoil `count` calls (-1: all) of a function ("*": of any), after `skip` good ones."""
        if self._library.fakerbd_arm(name.encode(), kind, value, skip, count) != 0:
            raise LookupError(name)

    def disarm(self) -> int:
        """Remove every fault. Return how many calls were spoiled."""
        return int(self._library.fakerbd_disarm())

    @contextlib.contextmanager
    def fault(
        self, name: str, kind: Kind, value: int, *, skip: int = 0, count: int = -1
    ) -> Iterator[None]:
        """Set a fault for the duration of the body."""
        self.arm(name, kind, value, skip=skip, count=count)
        try:
            yield
        finally:
            self.disarm()

    def last(self) -> Optional[str]:
        """Return the function that was spoiled last, and forget it."""
        name = self._library.fakerbd_last()
        return name.decode() if name else None

    def late(self, milliseconds: int) -> None:
        """Delay completions by up to this time from now on, and reorder them; 0 ends that."""
        self._library.fakerbd_late(milliseconds)

    def watch_lock(self) -> None:
        """Record which functions are called with the interpreter lock, from now on."""
        check = ctypes.cast(ctypes.pythonapi.PyGILState_Check, ctypes.c_void_p)
        self._library.fakerbd_watch(check)

    def held(self) -> Set[str]:
        """Return the functions that were called with the interpreter lock."""
        found: Set[str] = set()
        name = self._library.fakerbd_held(None)
        while name:
            found.add(name.decode())
            name = self._library.fakerbd_held(name)
        return found

    def calls(self, name: str) -> int:
        """Return how often a function was called."""
        return int(self._library.fakerbd_calls(name.encode()))

    def good(self, name: str) -> int:
        """Return how often a function returned no error."""
        return int(self._library.fakerbd_good(name.encode()))
