"""Where benchmarks run: a cluster, its images, interpreters and programs, and how much to do."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import rbd
from rbd.testing import Cluster, LocalCluster

from .shim import build as shim

WORKERS = Path(__file__).with_name("workers")
MIB = 1 << 20
GIB = 1 << 30

#: What the cluster is set to. Small writes cost the OSD less in pages; and fio's engine never
#: flushes, so without the second every write of it would be held in writethrough mode.
CONF = {"memstore_page_set": True, "rbd_cache_writethrough_until_flush": False}


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    rounds: int  # of each row, in which each contender has its turn
    curve_rounds: int
    seconds: float  # of one measurement of throughput
    curve_seconds: float
    calls: int
    batch: int  # blocks in one call
    burst: int  # writes that the cache takes at once: fewer than its 24 MiB for dirty data
    run: int  # operations of one run
    region: int  # bytes that a run of writes goes through
    singles: int  # operations one at a time
    extents: int
    image: int  # bytes of the image for throughput, all written
    sparse: int  # bytes of the image for transfers
    filled: int  # bytes of that with data
    points: Optional[int] = None  # of each curve; None: all


FULL = Scale(
    rounds=5,
    curve_rounds=2,
    seconds=1.5,
    curve_seconds=0.5,
    calls=200_000,
    batch=16384,
    burst=4000,
    run=20_000,
    region=64 * MIB,
    singles=3000,
    extents=1_000_000,
    image=256 * MIB,
    sparse=16 * GIB,
    filled=512 * MIB,
)
TINY = Scale(
    rounds=1,
    curve_rounds=1,
    seconds=0.02,
    curve_seconds=0.02,
    calls=200,
    batch=256,
    burst=100,
    run=200,
    region=MIB // 2,
    singles=100,
    extents=1000,
    image=8 * MIB,
    sparse=64 * MIB,
    filled=16 * MIB,
    points=2,
)


class Ended(NamedTuple):
    """What a process that ended well took and said."""

    seconds: float
    processor: float  # seconds of all its threads
    peak: int  # bytes of memory
    output: str


def run(command: List[str], env: Dict[str, str]) -> Ended:
    """Runs a program to its end; RuntimeError with what it said, where it fails."""
    with TemporaryFile() as output, TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{text}{said}")
    processor = usage.ru_utime + usage.ru_stime
    return Ended(seconds, processor, usage.ru_maxrss * 1024, text)


@functools.cache
def stock_python() -> Optional[str]:
    """An interpreter with the stock modules; RBD_STOCK_PYTHON names it."""
    code = "import rados, rbd, sys; sys.exit(hasattr(rbd, 'library_info'))"
    for candidate in (os.environ.get("RBD_STOCK_PYTHON"), "/usr/bin/python3"):
        if candidate and shutil.which(candidate):
            done = subprocess.run([candidate, "-c", code], capture_output=True, cwd="/")
            if done.returncode == 0:
                return candidate
    return None


@functools.cache
def fio_has_rbd() -> bool:
    if shutil.which("fio") is None:
        return False
    listed = subprocess.run(["fio", "--enghelp"], capture_output=True, text=True).stdout
    return "rbd" in listed.split()


class Place:
    """One cluster, and a directory for files."""

    def __init__(self, cluster: Cluster, directory: Path, scale: Scale) -> None:
        self.cluster = cluster
        self.directory = directory
        self.scale = scale
        self.pool = cluster.pools[0]
        self._made: Dict[str, str] = {}

    @functools.cached_property
    def shim(self) -> Path:
        """librbd with a data path that does nothing."""
        return shim.build(self.directory, rbd.library_info().path)

    @functools.cached_property
    def objects_shim(self) -> Path:
        """The same, and librados's calls on objects do nothing either."""
        return shim.build(self.directory, rbd.library_info().path, objects=True)

    def image(self, name: str, prepare: Callable[[Place, Any, str], None]) -> str:
        """The image of that name; `prepare(place, ioctx, name)` makes it at the first call."""
        if name not in self._made:
            with self.cluster.connect() as cluster, cluster.open_ioctx(self.pool) as ioctx:
                prepare(self, ioctx, name)
            self._made[name] = name
        return name

    def worker(
        self, which: str, script: str, env: Optional[Dict[str, str]] = None, **arguments: Any
    ) -> Dict[str, Any]:
        """Runs a script of workers/ for "ours" or the "stock" module; what it answers.

        With `seconds`, `processor` (seconds) and `peak` (bytes) of the whole process, unless it
        tells them itself.
        """
        python = sys.executable if which == "ours" else stock_python()
        assert python is not None
        told = {"which": which, "pool": self.pool, **arguments}
        command = [python, "-E", "-s", str(WORKERS / f"{script}.py"), json.dumps(told)]
        ended = run(command, {**self.cluster.env, **(env or {})})
        answer = json.loads(ended.output.splitlines()[-1])
        whole = {"seconds": ended.seconds, "processor": ended.processor, "peak": ended.peak}
        return {**whole, **answer}

    def shimmed(self, which: str, *, objects: bool = False) -> Dict[str, str]:
        """The environment in which a worker finds the shim."""
        library = self.objects_shim if objects else self.shim
        if which == "ours":
            return shim.our_environment(library)
        return shim.stock_environment(library)

    @functools.cached_property
    def writeback(self) -> Dict[str, str]:
        """The environment in which librbd's cache holds writes back."""
        path = self.directory / "writeback.conf"
        text = Path(self.cluster.conffile).read_text()
        path.write_text(text.replace("[global]", "[global]\nrbd_cache_policy = writeback", 1))
        return {"CEPH_CONF": str(path)}

    def file(self, name: str) -> Path:
        """A path where there is nothing yet."""
        path = self.directory / name
        path.unlink(missing_ok=True)
        return path


@contextmanager
def local(scale: Scale) -> Iterator[Place]:
    """A place on a cluster of its own."""
    # The files go beside the cluster's own, which are in memory where there is room.
    with LocalCluster(conf=CONF) as cluster, TemporaryDirectory(dir=cluster.directory) as path:
        yield Place(cluster, Path(path), scale)
