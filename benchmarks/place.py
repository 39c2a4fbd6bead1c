"""The place of benchmarks: a cluster, its images, interpreters and programs, and the scale."""

from __future__ import annotations

import ast
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory, TemporaryFile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import rbd
from rbd.testing import Cluster, LocalCluster

from .shim import build as shim

WORKERS = Path(__file__).with_name("workers")
MIB = 1 << 20
GIB = 1 << 30

#: The options of the cluster. Pages make small writes cheaper for the OSD. fio's engine never
#: flushes, so without the second option each of its writes would be written through.
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
    stream: int  # bytes of the image that a stream of bytes is of
    records: int  # bytes of data in large records of a diff; there are half as many in small ones
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
    stream=2 * GIB,
    records=512 * MIB,
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
    stream=32 * MIB,
    records=16 * MIB,
    points=2,
)


class Ended(NamedTuple):
    """The output of a process that ended well, and what it used."""

    seconds: float
    processor: float  # seconds of all its threads
    peak: int  # bytes of memory
    output: str


def run(command: List[str], env: Dict[str, str], piped: Optional[Path] = None) -> Ended:
    """Run a program to its end. Raises RuntimeError with its output if it fails.

    The bytes of the file `piped` come to its standard input through a pipe.
    """
    with (
        TemporaryFile() as output,
        TemporaryFile() as errors,
        NamedTemporaryFile() as answer,
        _pipe_of(piped) as pipe,
    ):
        launcher = [sys.executable, "-I", "-S", str(WORKERS / "child.py"), answer.name, *command]
        subprocess.run(launcher, env=env, stdin=pipe, stdout=output, stderr=errors, check=True)
        told = json.load(answer)
        output.seek(0)
        text = output.read().decode(errors="replace")
        if told["code"] != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            raise RuntimeError(f"{command} ended with {told['code']}:\n{text}{said}")
    return Ended(told["seconds"], told["processor"], told["peak"], text)


@contextmanager
def _pipe_of(path: Optional[Path]) -> Iterator[Any]:
    """Yield a pipe into which another process writes a file; the null device for None."""
    if path is None:
        yield subprocess.DEVNULL
        return
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        yield process.stdout


@functools.cache
def stock_python() -> Optional[str]:
    """Return an interpreter with the stock modules. RBD_STOCK_PYTHON names it."""
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
        self._files: Dict[str, Path] = {}
        self._kept: Dict[Tuple[str, str], List[float]] = {}
        self._numbers = itertools.count()

    @functools.cached_property
    def shim(self) -> Path:
        """Return a librbd with a data path that does nothing."""
        return shim.build(self.directory, rbd.library_info().path)

    @functools.cached_property
    def objects_shim(self) -> Path:
        """Return the same with a librados whose calls on objects do nothing."""
        return shim.build(self.directory, rbd.library_info().path, objects=True)

    def image(self, name: str, prepare: Callable[[Place, Any, str], None]) -> str:
        """Return the image of that name. At first, `prepare(place, ioctx, name)` makes it."""
        if name not in self._made:
            with self.cluster.connect() as cluster, cluster.open_ioctx(self.pool) as ioctx:
                prepare(self, ioctx, name)
            self._made[name] = name
        return name

    def stream(self, name: str, prepare: Callable[[Place, Path], None]) -> Path:
        """Return the file of that name. At first, `prepare(place, path)` makes it."""
        if name not in self._files:
            path = self.directory / name
            prepare(self, path)
            self._files[name] = path
        return self._files[name]

    @contextmanager
    def fresh(self, size: Optional[int] = None) -> Iterator[str]:
        """Yield the name of a temporary image. With a size, the image exists already."""
        name = f"fresh-{next(self._numbers)}"
        with self.cluster.connect() as cluster, cluster.open_ioctx(self.pool) as ioctx:
            if size is not None:
                rbd.RBD().create(ioctx, name, size, order=22)
            yield name
            with rbd.Image(ioctx, name) as image:
                for snapshot in image.list_snaps():
                    image.remove_snap(snapshot["name"])
            rbd.RBD().remove(ioctx, name)

    def field(self, job: str, name: str, job_run: Callable[[Place], Ended]) -> float:
        """Return one field of the result of a job's run.

        The other fields are kept: another row of the same job gets them from the same runs.
        """
        if not self._kept.get((job, name)):
            ended = job_run(self)
            for other in ("seconds", "processor", "peak"):
                self._kept.setdefault((job, other), []).append(float(getattr(ended, other)))
        return self._kept[job, name].pop(0)

    def worker(
        self,
        which: str,
        script: str,
        env: Optional[Dict[str, str]] = None,
        piped: Optional[Path] = None,
        **arguments: Any,
    ) -> Dict[str, Any]:
        """Run a script of workers/ for "ours" or the "stock" module. Return its result.

        The result has `seconds`, `processor` (seconds) and `peak` (bytes) of the whole process,
        unless the script reports them itself.
        """
        python = sys.executable if which == "ours" else stock_python()
        assert python is not None
        told = {"which": which, "pool": self.pool, **arguments}
        command = [python, "-E", "-s", str(WORKERS / f"{script}.py"), repr(told)]
        ended = run(command, {**self.cluster.env, **(env or {})}, piped)
        answer = ast.literal_eval(ended.output.splitlines()[-1])
        whole = {"seconds": ended.seconds, "processor": ended.processor, "peak": ended.peak}
        return {**whole, **answer}

    def shimmed(self, which: str, *, objects: bool = False) -> Dict[str, str]:
        """Return the environment in which a worker uses the shim."""
        library = self.objects_shim if objects else self.shim
        if which == "ours":
            return shim.our_environment(library)
        return shim.stock_environment(library)

    @functools.cached_property
    def writeback(self) -> Dict[str, str]:
        """Return the environment in which librbd's cache delays writes."""
        path = self.directory / "writeback.conf"
        text = Path(self.cluster.conffile).read_text()
        path.write_text(text.replace("[global]", "[global]\nrbd_cache_policy = writeback", 1))
        return {"CEPH_CONF": str(path)}

    def file(self, name: str) -> Path:
        """Return an unused path."""
        path = self.directory / name
        path.unlink(missing_ok=True)
        return path


@contextmanager
def local(scale: Scale) -> Iterator[Place]:
    """Yield a place on a new cluster."""
    # The files are beside the cluster's own, which are in memory if there is room.
    with LocalCluster(conf=CONF) as cluster, TemporaryDirectory(dir=cluster.directory) as path:
        yield Place(cluster, Path(path), scale)
