"""At the interpreter's exit, and when signals come, nothing hangs and nothing crashes."""

from __future__ import annotations

import array
import asyncio
import io
import itertools
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List

import pytest

import figures
import isolated
import rbd
import rbd.aio
import rbd.transfer
from place import LIMIT, SIZE, SOAK, Where, connect, open_all, raised_by, refused, shrink
from rbd.testing import LocalCluster

ROUNDS = 400 if SOAK else 3
#: The same for what takes seconds.
FEW = 100 if SOAK else 1

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


# Interpreter exit

KEPT: List[Any] = []


def exit_with_open_handles(where: Where) -> None:
    KEPT.extend(open_all(where))
    KEPT.append(KEPT)
    KEPT[2].write(b"F" * 4096, 4096)


@pytest.mark.slow
def test_exit_over_a_dead_cluster(tmp_path: Path) -> None:
    """Images left open must not wait for an answer for ever: their close gives up after a while."""
    code = """
import sys, rbd
cluster = rbd.connect(sys.argv[1])
ioctx = cluster.open_ioctx("rbd")
rbd.RBD().create(ioctx, "left", 1 << 24)
images = [rbd.Image(ioctx, "left"), rbd.Image(ioctx, "left", read_only=True)]
images[0].write(b"A" * 4096, 0)
print("open", flush=True)
sys.stdin.readline()
"""
    with LocalCluster(tmp_path / "cluster") as cluster:
        child = subprocess.Popen(
            [sys.executable, "-c", code, cluster.conffile],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            cluster.stop()
            try:
                child.communicate("\n", timeout=60)
            finally:
                child.kill()
        assert child.returncode == 0


def exit_with_daemon_threads(where: Where) -> None:
    """Threads that nobody waits for are inside reads, writes and long calls."""
    _cluster, ioctx, image = open_all(where)
    started = threading.Barrier(7)

    def forever(step: Callable[[], Any]) -> None:
        started.wait(30)
        while True:
            step()

    sizes = itertools.cycle([SIZE * 2, SIZE])
    for step in (
        lambda: image.read(0, 65536),
        lambda: image.write(b"G" * 65536, 65536),
        lambda: image.resize(next(sizes), on_progress=lambda *_: 0),
        lambda: list(image.list_snaps()),
        lambda: rbd.Image(ioctx, where[3], read_only=True).close(),
        lambda: image.diff_iterate(0, SIZE, None, lambda *_: None),
    ):
        threading.Thread(target=forever, args=(step,), daemon=True).start()
    started.wait(30)
    time.sleep(random.random() * 0.2)


def exit_with_calls_in_flight(where: Where) -> None:
    """Completions that nobody waits for, and one whose callback starts the next call."""
    _cluster, _ioctx, image = open_all(where)
    KEPT.append(image)

    def again(*_: Any) -> None:
        image.aio_write(b"K" * 4096, 8192, again)

    again()
    for index in range(32):
        image.aio_read(0, 1 << 16, lambda *_: None)
        image.aio_write(b"L" * 4096, 12288 + index * 4096, None)


def exit_in_atexit(where: Where) -> None:
    import atexit

    cluster, ioctx, image = open_all(where)

    def late() -> None:
        assert image.read(0, 1)
        image.resize(SIZE, on_progress=lambda *_: 0)
        image.close()
        with rbd.Image(ioctx, where[3]) as again:
            again.write(b"H", 0)
        cluster.shutdown()

    atexit.register(late)


class AtExit:
    """Uses its image when the interpreter takes it apart."""

    def __init__(self, image: Any) -> None:
        self.image = image
        self.me = self

    def __del__(self) -> None:
        self.image.write(b"I" * 512, 512)
        self.image.flush()


def exit_with_finalizers(where: Where) -> None:
    _cluster, _ioctx, image = open_all(where)
    KEPT.append(AtExit(image))


def exits(where: Where, scenario: str, rounds: int, at_once: int) -> None:
    """Interpreters without a connection as yet, each of which makes one and goes to its end."""
    begun = 0
    running: Dict[int, float] = {}
    while begun < rounds or running:
        if begun < rounds and len(running) < at_once:
            pid = os.fork()
            if not pid:
                globals()[scenario](where)
                return
            begun += 1
            running[pid] = time.monotonic() + 60
            continue
        for pid, deadline in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                assert status == 0, status
                del running[pid]
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGABRT)
                raise AssertionError("an interpreter hung at its end")
        time.sleep(0.005)


@pytest.mark.parametrize(
    "scenario",
    [
        exit_with_open_handles,
        exit_with_calls_in_flight,
        exit_with_daemon_threads,
        exit_in_atexit,
        exit_with_finalizers,
    ],
)
def test_interpreter_exit(where: Where, scenario: Callable[..., None]) -> None:
    isolated.run(scenario, where)
    # Those with calls in flight wait a second for callbacks. The others come one by one: librbd 16
    # has an assertion of its own that fails where a client closes an image just when another one
    # asks for its lock, once in a thousand times.
    at_once = 8 if scenario is exit_with_calls_in_flight else 1
    # Python 3.9's development mode crashes by itself where a forked child goes to its end.
    development = sys.version_info >= (3, 10)
    watched = isolated.start(
        exits,
        where,
        scenario.__name__,
        ROUNDS,
        at_once,
        watched=False,
        development=development,
        timeout=LIMIT,
    )
    outcome = isolated.finish(watched, LIMIT)
    assert outcome.status == 0, str(outcome)
    # An interpreter that ends says nothing, but for the harness's own answers.
    said = [line for line in outcome.output.splitlines() if not line.startswith("answer:")]
    assert not said, str(outcome)
    figures.note(scenario.__name__.replace("_", " "), ROUNDS)


def exit_by(where: Where, how: str) -> None:
    _cluster, _ioctx, image = open_all(where)
    if how == "exception":
        raise SystemExit(0)
    if how == "thread":
        # The last user of the connection is a thread that ends after the main one.
        threading.Thread(target=lambda: (time.sleep(0.2), image.read(0, 1))).start()


@pytest.mark.parametrize("how", ["exception", "thread"])
def test_ways_out(where: Where, how: str) -> None:
    isolated.run(exit_by, where, how)


# Signals


class File(io.RawIOBase):
    """A stream without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"M" * len(buffer)
        return len(buffer)


class Sink(io.RawIOBase):
    """A stream that takes everything."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def endless(
    image: Any, parent: Any, clone: Any, ioctx: Any, name: str
) -> Dict[str, Callable[[], Any]]:
    """Calls that go on for many seconds unless they are stopped; the images are large and empty."""
    offsets = array.array("Q", bytes(8 * 20_000_000))
    wrapped = rbd.aio.AsyncImage(image)

    async def read_on() -> None:
        while True:
            await asyncio.gather(*(wrapped.read(0, 4096) for _ in range(16)))

    def wait() -> None:
        release = threading.Event()
        try:
            image.aio_flush(lambda _: release.wait(60)).wait_for_complete_and_cb()
        finally:
            release.set()

    return {
        "resize": lambda: image.resize(4096),
        "resize with on_progress": lambda: image.resize(4096, on_progress=lambda *_: 0),
        "sparsify": lambda: image.sparsify(4096),
        "read_blocks": lambda: image.read_blocks(offsets, 1),
        "write_blocks": lambda: image.write_blocks(bytes(len(offsets)), offsets),
        "asyncio": lambda: interrupted_run(read_on()),
        "wait_for_complete_and_cb": wait,
        "flatten": clone.flatten,
        "flatten with on_progress": lambda: clone.flatten(on_progress=lambda *_: 0),
        "rollback": lambda: parent.rollback_to_snap("base"),
        "rollback with on_progress": lambda: parent.rollback_to_snap(
            "base", on_progress=lambda *_: 0
        ),
        "export_image": lambda: rbd.transfer.export_image(image, Sink()),
        "export_diff": lambda: rbd.transfer.export_diff(image, Sink()),
        "import_image": lambda: rbd.transfer.import_image(File(), ioctx, name),
    }


def interrupted_run(endless: Any) -> None:
    """As asyncio.run(), which before Python 3.11 may wait for ever for what it then cancels.

    There a signal's exception may come in the middle of what wakes a task, which never wakes then.
    """
    if sys.version_info >= (3, 11):
        asyncio.run(endless)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    try:
        loop.run_until_complete(endless)
    finally:
        loop.close()


#: Sends its parent Ctrl-C a moment after each line that it reads, and says when.
SENDER = """
import os, random, signal, struct, sys, time
for line in sys.stdin.buffer:
    time.sleep(0.05 + random.random() * 0.1)
    sys.stdout.buffer.write(struct.pack("d", time.monotonic()))
    sys.stdout.buffer.flush()
    os.kill(os.getppid(), signal.SIGINT)
"""


def interrupt(where: Where, rounds: int) -> Dict[str, List[float]]:
    """Ctrl-C ends what can be ended; gives how long each took to do so, in seconds."""
    cluster, ioctx = connect(where)
    name = f"{where[3]}-large"
    # So many objects that going through them takes seconds; none of them exists.
    size = 32 << 30
    features = rbd.RBD_FEATURE_LAYERING
    rbd.RBD().create(ioctx, name, size, 20, features=features)
    rbd.RBD().create(ioctx, f"{name}-parent", size // 4, 20, features=features)
    waits: Dict[str, List[float]] = {}
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with sender, rbd.Image(ioctx, name) as large, rbd.Image(ioctx, f"{name}-parent") as parent:
        parent.create_snap("base")
        parent.protect_snap("base")
        rbd.RBD().clone(ioctx, f"{name}-parent", "base", ioctx, f"{name}-clone", features, order=20)
        clone = rbd.Image(ioctx, f"{name}-clone")
        for kind, call in endless(large, parent, clone, ioctx, f"{name}-imported").items():
            for _ in range(rounds):
                waits.setdefault(kind, []).append(interrupted(call, sender))
                if large.size() != size:
                    large.resize(size)
                if f"{name}-imported" in rbd.RBD().list(ioctx):
                    rbd.RBD().remove(ioctx, f"{name}-imported")
                assert large.read(0, 4) == bytes(4), kind
                assert clone.parent_info()[2] == "base", kind
        clone.close()
        rbd.RBD().remove(ioctx, f"{name}-clone")
        parent.unprotect_snap("base")
        parent.remove_snap("base")
    for one in (name, f"{name}-parent"):
        rbd.RBD().remove(ioctx, one)
    cluster.shutdown()
    return waits


def interrupted(call: Callable[[], Any], sender: Any) -> float:
    """Sends Ctrl-C a moment after the call has begun; how long the call then goes on, in seconds.

    The signal comes from another process: no thread of this one has to run for it.
    """
    sender.stdin.write(b"\n")
    error = raised_by(call)
    ended = time.monotonic()
    assert isinstance(error, KeyboardInterrupt), repr(error)
    (sent,) = struct.unpack("d", sender.stdout.read(8))
    return float(ended - sent)


def test_ctrl_c(where: Where) -> None:
    waits = isolated.run(interrupt, where, 10 if SOAK else 1, timeout=LIMIT)
    figures.note("Ctrl-C in long calls", sum(map(len, waits.values())))
    for kind, seconds in waits.items():
        if SOAK:
            figures.note(f"{kind}: median ms until Ctrl-C", round(1000 * median(seconds), 1))
        # A busy machine makes one late, but not most.
        assert median(seconds) < 0.5 or not SOAK, (kind, sorted(seconds))


def close_in_signal_handler(where: Where) -> None:
    """A handler runs inside the long call, and closes the very image it works on."""
    _cluster, ioctx, image = open_all(where)
    handled = []

    def handler(*_: Any) -> None:
        image.close()
        handled.append(True)

    signal.signal(signal.SIGUSR1, handler)

    def progress(done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    shrink(image, progress)
    refused(image.size)
    # And while librbd waits for the answer of a callback, which no one gives before the signal.
    image = rbd.Image(ioctx, where[3])
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    image.resize(SIZE * 2)
    image.resize(SIZE // 2, on_progress=lambda *_: time.sleep(0.02))
    timer.join()
    assert handled


def test_close_in_a_signal_handler(where: Where) -> None:
    isolated.repeat(close_in_signal_handler, where, rounds=FEW, timeout=LIMIT)


def handlers_run_during_io(where: Where) -> int:
    """Signals in the middle of blocking calls disturb none of them."""
    _cluster, _ioctx, image = open_all(where)
    handled = 0

    def handler(*_: Any) -> None:
        nonlocal handled
        handled += 1

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    data = b"J" * 65536
    for index in range(100):
        assert image.write(data, index % 8 * 65536) == len(data)
        assert image.read(index % 8 * 65536, len(data)) == data
        image.resize(SIZE + index % 2 * SIZE)
    signal.setitimer(signal.ITIMER_REAL, 0, 0)
    return handled


def test_signals_during_calls(where: Where) -> None:
    assert isolated.run(handlers_run_during_io, where) > 0
