"""When signals come, nothing hangs and nothing is lost; Ctrl-C ends what can be ended."""

from __future__ import annotations

import array
import asyncio
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from statistics import median
from typing import Any, Callable, Dict, List, Optional

import pytest

import fakerbd
import figures
import isolated
import rbd
import rbd.aio
import rbd.transfer
from fakerbd import Kind, Shim
from fakerbd.driving import balance
from place import LIMIT, SIZE, SOAK, Where, connect, open_all, raised_by, refused, shrink

#: How often each long call is interrupted, of which there are fourteen.
ROUNDS = 75 if SOAK else 1
CLOSES = 1000 if SOAK else 1
LEFT = 200 if SOAK else 1
#: How long a call that is interrupted once may go on, and one that is so again, in seconds.
PATIENCE, LAST_PATIENCE = 5.0, 0.25

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


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
    waits = isolated.run(interrupt, where, ROUNDS, timeout=LIMIT)
    figures.note("Ctrl-C in long calls", sum(map(len, waits.values())))
    for kind, seconds in waits.items():
        if SOAK:
            figures.note(f"{kind}: median ms until Ctrl-C", round(1000 * median(seconds), 1))
        # A busy machine makes one late, but not most.
        assert median(seconds) < 0.5 or not SOAK, (kind, sorted(seconds))


class Stop(Exception):
    """Raised by a callback."""


def interrupt_after(*moments: float) -> None:
    """Sends Ctrl-C to this process so many seconds from now."""
    start = time.monotonic()

    def send() -> None:
        for moment in moments:
            time.sleep(max(start + moment - time.monotonic(), 0))
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


def all_closed(shim: Shim) -> None:
    """Whatever goes on alone ends within a moment, and nothing is left of it."""
    end = time.monotonic() + 30
    while balance(shim) != [0] * len(balance(shim)):
        assert time.monotonic() < end, balance(shim)
        time.sleep(0.01)


def never_ending(where: Where, shim: Shim, kind: str, milliseconds: int) -> BaseException:
    """A resize() that librbd does not end is interrupted; gives what that raises.

    Once, twice, or where its callback has raised already.
    """
    _cluster, _ioctx, image = open_all(where)
    moments = [0.3, 0.5] if kind == "twice" else [0.3]

    def report(done: int, total: int) -> int:
        if kind == "after a callback":
            raise Stop
        return 0

    image.resize(SIZE * 2)
    start = time.monotonic()
    with shim.fault("rbd_resize2", Kind.LINGER, milliseconds, count=1):
        interrupt_after(*moments)
        error = raised_by(lambda: image.resize(SIZE, on_progress=report))
        took = time.monotonic() - start
    assert isinstance(error, KeyboardInterrupt), repr(error)
    expected = moments[-1] + (PATIENCE if kind == "once" else LAST_PATIENCE)
    assert moments[-1] <= took < expected + 2, took
    if sys.version_info >= (3, 11):
        assert error.__notes__ == ["librbd has not ended the call, which goes on by itself"]
    # Nobody waits for it, and nothing is closed under it.
    assert shim.calls("rbd_close") == 0
    image.close()
    assert time.monotonic() - start < took + 1
    assert shim.calls("rbd_close") == 0
    refused(image.size)
    return error


def leave_behind(where: Where, kind: str) -> None:
    shim = Shim()
    error = never_ending(where, shim, kind, 8000 if kind == "once" else 3000)
    context: Optional[BaseException] = error.__context__
    expected = {"once": type(None), "twice": KeyboardInterrupt, "after a callback": Stop}
    assert isinstance(context, expected[kind]), repr(context)
    # What was left behind ends, closes the image and lets go of all else.
    all_closed(shim)
    with connect(where)[1] as ioctx, rbd.Image(ioctx, where[3]) as image:
        assert image.size() == (SIZE * 2 if kind == "after a callback" else SIZE)


@fakerbd.needs_compiler
@pytest.mark.parametrize("kind", ["once", "twice", "after a callback"])
def test_a_call_that_does_not_end_is_left_behind(shimmed: Callable[..., Any], kind: str) -> None:
    for _ in range(1 if kind == "once" else LEFT):
        shimmed(leave_behind, kind)
        figures.note("calls left behind", 1)


def exit_over_a_call(where: Where) -> float:
    never_ending(where, Shim(), "twice", 100_000)
    return time.monotonic()


@fakerbd.needs_compiler
def test_a_call_left_behind_does_not_hold_up_the_exit(shimmed: Callable[..., Any]) -> None:
    ended = shimmed(exit_over_a_call)
    assert time.monotonic() - ended < 10


def interrupt_close(where: Where, kind: str) -> None:
    """A close() that waits for another thread's call is interrupted: that call closes."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    answers = []
    calls: Dict[str, Callable[[], Any]] = {
        "image": lambda: answers.append(image.read(0, 4)),
        "ioctx": lambda: answers.append(rbd.RBD().list(ioctx)),
    }
    closed = image if kind == "image" else ioctx
    with shim.fault("rbd_read", Kind.DELAY, 3000), shim.fault("rbd_list2", Kind.DELAY, 3000):
        thread = threading.Thread(target=calls[kind])
        thread.start()
        interrupt_after(0.3)
        assert isinstance(raised_by(closed.close), KeyboardInterrupt)
        assert not answers
        assert shim.calls("rbd_close") == 0
        closed.close()
        refused(image.size if kind == "image" else lambda: rbd.RBD().list(ioctx))
        thread.join()
    assert answers == [b"AAAA" if kind == "image" else [where[3]]]
    image.close()
    all_closed(shim)


@fakerbd.needs_compiler
@pytest.mark.parametrize("kind", ["image", "ioctx"])
def test_ctrl_c_ends_the_wait_of_a_close(shimmed: Callable[..., Any], kind: str) -> None:
    for _ in range(LEFT):
        shimmed(interrupt_close, kind)


def interrupt_transfer(where: Where, kind: str) -> None:
    """Further Ctrl-C end a transfer's waits for its operations, and for its image to close."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    image.resize(64 << 20)
    for offset in range(0, 64 << 20, 4 << 20):
        image.write(os.urandom(4 << 20), offset)
    image.flush()
    name = f"{where[3]}-imported"
    begun: List[bool] = []

    class Interrupting(File):
        """From when the writes begin on."""

        def readinto(self, buffer: Any) -> int:
            if not begun:
                begun.append(True)
                interrupt_after(0.5, 1, 1.5)
            return super().readinto(buffer)

    shim.late(6000)
    if kind == "export":
        interrupt_after(0.5, 1)
        error = raised_by(lambda: rbd.transfer.export_image(image, Sink()))
    else:
        error = raised_by(lambda: rbd.transfer.import_image(Interrupting(), ioctx, name))
    assert isinstance(error, KeyboardInterrupt)
    # It has not waited for the last of the operations.
    assert balance(shim)[3] > 0
    shim.late(0)
    image.close()
    all_closed(shim)
    # What was begun is not there.
    assert name not in rbd.RBD().list(ioctx)


@fakerbd.needs_compiler
@pytest.mark.parametrize("kind", ["export", "import"])
def test_ctrl_c_ends_a_transfer_whose_operations_go_on(
    shimmed: Callable[..., Any], kind: str
) -> None:
    shimmed(interrupt_transfer, kind)


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
    timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
    handled.clear()

    def slow(*_: int) -> None:
        if timer.ident is None:
            timer.start()
        while not handled:
            time.sleep(0.001)

    shrink(image, slow)
    timer.join()
    assert handled


def test_close_in_a_signal_handler(where: Where) -> None:
    isolated.repeat(close_in_signal_handler, where, rounds=CLOSES, timeout=LIMIT)


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


def interrupt_the_first_call(where: Where, begun: bool) -> None:
    """Ctrl-C comes while the thread for callbacks starts."""
    _cluster, _ioctx, image = open_all(where)
    start = threading.Thread.start

    def interrupted_start(thread: threading.Thread) -> None:
        if begun:
            start(thread)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted_start)
        assert isinstance(raised_by(lambda: image.aio_flush(None)), KeyboardInterrupt)
    called = threading.Event()
    image.aio_read(0, 4, lambda *_: called.set())
    # Nobody waits for the completion, which would run the callback too.
    assert called.wait(10)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("rbd-callbacks") == 1, names


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_in_the_first_asynchronous_call(where: Where, begun: bool) -> None:
    isolated.run(interrupt_the_first_call, where, begun)
