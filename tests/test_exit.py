"""At the interpreter's exit nothing hangs and nothing crashes."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import rbd
import rbd.aio
import rbd.transfer
from rbd.testing import LocalCluster
from support import figures, isolated
from support.location import LIMIT, SIZE, SOAK, Where, connect, open_all

ROUNDS = 1000 if SOAK else 3

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


KEPT: List[Any] = []


def exit_with_open_handles(where: Where) -> None:
    KEPT.extend(open_all(where))
    KEPT.append(KEPT)
    KEPT[2].write(b"F" * 4096, 4096)


@pytest.mark.slow
def test_exit_over_a_dead_cluster_does_not_hang(tmp_path: Path) -> None:
    """Open images must not wait forever for an answer: their close stops waiting after a while."""
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
    """Daemon threads are inside reads, writes and long calls."""
    _cluster, ioctx, image = open_all(where)
    started = threading.Barrier(9)

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
        # What is not closed is destroyed without the interpreter lock.
        ioctx.dup,
        lambda: rbd.connect(where[0]),
    ):
        threading.Thread(target=forever, args=(step,), daemon=True).start()
    started.wait(30)
    time.sleep(random.random() * 0.2)


def exit_without_destructors(where: Where) -> None:
    """C's stdout and the exit status survive if handles are left."""
    KEPT.extend(open_all(where))
    threading.Thread(target=forever_open, args=(where,), daemon=True).start()
    time.sleep(0.3)
    ctypes.CDLL(None).printf(b"printed%c", 10)
    sys.exit(7)


def forever_open(where: Where) -> None:
    _cluster, ioctx = connect(where)
    while True:
        rbd.Image(ioctx, where[3], read_only=True).close()


def test_exit_with_handles_left_keeps_output_and_status(where: Where) -> None:
    outcome = isolated.finish(isolated.start(exit_without_destructors, where, watched=False))
    assert (outcome.status, outcome.output) == (7, "printed\n")


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
    """Uses its image when the interpreter destroys it."""

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
    """Run interpreters without a connection, each of which connects and exits."""
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
def test_the_interpreter_exits_in_each_state(where: Where, scenario: Callable[..., None]) -> None:
    isolated.run(scenario, where)
    # Those with calls in flight wait a second for callbacks. The others run one by one, because an
    # assertion in librbd 16 fails, once in a thousand times, if a client closes an image just when
    # another one asks for its lock.
    at_once = 8 if scenario is exit_with_calls_in_flight else 1
    # Python 3.9's development mode itself crashes if a forked child exits.
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
    # An interpreter that exits prints nothing except the harness's answers.
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
def test_every_way_out_exits(where: Where, how: str) -> None:
    isolated.run(exit_by, where, how)
