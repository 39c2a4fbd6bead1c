"""At the interpreter's exit, and when signals come, nothing hangs and nothing crashes."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from typing import Any, Callable, Iterator, List

import pytest

import isolated
import rbd
from place import LIMIT, SIZE, SOAK, Where, connect, open_all, raised_by, refused, shrink

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


# Interpreter exit

KEPT: List[Any] = []


def exit_with_open_handles(where: Where) -> None:
    KEPT.extend(open_all(where))
    KEPT.append(KEPT)
    KEPT[2].write(b"F" * 4096, 4096)


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


@pytest.mark.parametrize(
    "scenario",
    [exit_with_open_handles, exit_with_daemon_threads, exit_in_atexit, exit_with_finalizers],
)
def test_interpreter_exit(where: Where, scenario: Callable[..., None]) -> None:
    for _ in range(100 if SOAK else 3):
        isolated.run(scenario, where)


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


@contextlib.contextmanager
def signal_after(seconds: float, number: int, sent: List[float]) -> Iterator[None]:
    """Sends this process a signal while the body runs; `sent` gets the time."""

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    timer = threading.Timer(seconds, send)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def interrupt(where: Where) -> List[float]:
    """Ctrl-C ends what librbd can end; gives how long each took to do so, in seconds."""
    _cluster, ioctx = connect(where)
    name = f"{where[3]}-large"
    # So many objects that removing them takes seconds; none of them exists.
    size = 16 << 30
    rbd.RBD().create(ioctx, name, size, 20, features=rbd.RBD_FEATURE_LAYERING)
    waits = []
    with rbd.Image(ioctx, name) as large:
        for call in (
            lambda: large.resize(4096),
            lambda: large.resize(4096, on_progress=lambda *_: 0),
        ):
            sent: List[float] = []
            with signal_after(0.1, signal.SIGINT, sent):
                assert isinstance(raised_by(call), KeyboardInterrupt)
                waits.append(time.monotonic() - sent[0])
            large.resize(size)
    rbd.RBD().remove(ioctx, name)
    return waits


def test_ctrl_c_stops_a_long_call(where: Where) -> None:
    assert len(isolated.run(interrupt, where)) == 2


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
    isolated.run(close_in_signal_handler, where)


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
