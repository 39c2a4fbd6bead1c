"""A signal ends a wait, and the abandoned work continues."""

from __future__ import annotations

import contextlib
import errno
import fractions
import os
import resource
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional

import pytest

import rbd
import rbd.transfer
from support import fakerbd, figures
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import balance
from support.location import LIMIT, SIZE, SOAK, Where, connect, open_all, raised_by, refused
from support.stream_files import Endless, Sink

ROUNDS = 100 if SOAK else 1
TRANSFERS = 25 if SOAK else 1
#: The time that a call may take after one interruption, in seconds.
PATIENCE = 5
#: What an exception notes if it leaves the call to librbd.
NOTE = "librbd has not completed the call, which continues in the background"

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]


class Stop(Exception):
    """Raised by a callback."""


def interrupt_after(*moments: float) -> None:
    """Send Ctrl-C to this process after these numbers of seconds."""
    start = time.monotonic()

    def send() -> None:
        for moment in moments:
            time.sleep(max(start + moment - time.monotonic(), 0))
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


def all_closed(shim: Shim) -> None:
    """Check that abandoned work ends soon, and leaves nothing."""
    end = time.monotonic() + 30
    while balance(shim) != [0] * len(balance(shim)):
        assert time.monotonic() < end, balance(shim)
        time.sleep(0.01)


def never_ending(where: Where, shim: Shim, kind: str, milliseconds: int) -> BaseException:
    """Interrupt a resize() that librbd does not end. Return its exception.

    It is interrupted once, twice, or after its callback has raised.
    """
    _cluster, _ioctx, image = open_all(where)
    moments = [0.3, 0.5] if kind == "twice" else [0.3]

    begun: List[float] = []

    def report(done: int, total: int) -> int:
        if not begun:
            begun.append(time.monotonic())
            interrupt_after(*moments)
        if kind == "after a callback":
            raise Stop
        return 0

    image.resize(SIZE * 2)
    with shim.fault("rbd_resize2", Kind.LINGER, milliseconds, count=1):
        error = raised_by(lambda: image.resize(SIZE, on_progress=report))
        took = time.monotonic() - begun[0]
    assert isinstance(error, KeyboardInterrupt), repr(error)
    assert moments[-1] + (PATIENCE if kind == "once" else 0) <= took < milliseconds / 1000, took
    if sys.version_info >= (3, 11):
        assert error.__notes__ == [NOTE]
    # Nobody waits for it, and nothing that it uses is closed.
    assert shim.calls("rbd_close") == 0
    image.close()
    assert shim.calls("rbd_close") == 0
    refused(image.size)
    return error


def abandon_a_call(where: Where, kind: str) -> None:
    shim = Shim()
    error = never_ending(where, shim, kind, 8000 if kind == "once" else 3000)
    context: Optional[BaseException] = error.__context__
    expected = {"once": type(None), "twice": KeyboardInterrupt, "after a callback": Stop}
    assert isinstance(context, expected[kind]), repr(context)
    # The abandoned call ends, closes the image and frees everything else.
    all_closed(shim)
    with connect(where)[1] as ioctx, rbd.Image(ioctx, where[3]) as image:
        assert image.size() == (SIZE * 2 if kind == "after a callback" else SIZE)


@pytest.mark.parametrize("kind", ["once", "twice", "after a callback"])
def test_a_call_that_does_not_end_is_abandoned(shimmed: Callable[..., Any], kind: str) -> None:
    for _ in range(1 if kind == "once" else ROUNDS):
        shimmed(abandon_a_call, kind)
        figures.note("calls left behind", 1)


def out_of_time(where: Where) -> None:
    """A call with a timeout raises Timeout. It is abandoned if librbd does not end it."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            image.resize(SIZE * 2, timeout=bad)
    for wrong in ("1", True, b"1", [1]):
        with pytest.raises(TypeError, match="timeout"):
            image.resize(SIZE * 2, timeout=wrong)  # type: ignore[arg-type]
    assert shim.calls("rbd_resize2") == 0
    # A sufficient timeout, of any kind of number.
    for number, enough in enumerate((None, 1000, 1e300, float("inf"), fractions.Fraction(10**4))):
        image.resize(SIZE * (number + 2), timeout=enough)
    assert image.size() == SIZE * 6

    with shim.fault("rbd_resize2", Kind.LINGER, 4000, count=1):
        begun = time.monotonic()
        error = raised_by(lambda: image.resize(SIZE, timeout=0.3))
        took = time.monotonic() - begun
    assert isinstance(error, rbd.Timeout), repr(error)
    assert isinstance(error, TimeoutError)
    assert error.errno == errno.ETIMEDOUT
    assert "within 0.3 seconds" in str(error)
    assert 0.3 <= took < 3, took
    if sys.version_info >= (3, 11):
        assert error.__notes__ == [NOTE]
    # As after Ctrl-C, nobody waits for it, and nothing that it uses is closed.
    image.close()
    assert shim.calls("rbd_close") == 0
    all_closed(shim)

    # A call that librbd stops on request, and one that has ended by then.
    with rbd.Image(ioctx, where[3]) as again:
        again.resize(SIZE * 8)
        error = raised_by(
            lambda: again.resize(SIZE, on_progress=lambda *_: time.sleep(0.2), timeout=0.1)
        )
        assert isinstance(error, rbd.Timeout), repr(error)
        with shim.fault("rbd_resize2", Kind.LINGER, 150, count=1):
            again.resize(SIZE * 9, timeout=0.05)
        assert again.size() == SIZE * 9


def test_a_call_that_exceeds_its_timeout_is_abandoned(shimmed: Callable[..., Any]) -> None:
    shimmed(out_of_time)


def exit_over_a_call(where: Where) -> float:
    never_ending(where, Shim(), "twice", 100_000)
    return time.monotonic()


def test_an_abandoned_call_does_not_hold_up_the_exit(shimmed: Callable[..., Any]) -> None:
    ended = shimmed(exit_over_a_call)
    assert time.monotonic() - ended < 10


def interrupt_submitting(where: Where) -> None:
    """A batch whose blocks are read before each call returns also sees a signal."""
    _cluster, _ioctx, image = open_all(where)
    shim = Shim()
    out = bytearray(100)
    with shim.fault("rbd_aio_read", Kind.LINGER, 100):
        begun = time.monotonic()
        interrupt_after(0.3)
        error = raised_by(lambda: image.read_blocks([0] * len(out), 1, out, queue_depth=4))
        took = time.monotonic() - begun
    assert isinstance(error, KeyboardInterrupt), repr(error)
    assert 0.3 <= took < 3, took
    out.append(1)  # the memory is not held any more
    image.close()


def test_a_batch_that_completes_at_once_is_interrupted(shimmed: Callable[..., Any]) -> None:
    shimmed(interrupt_submitting)


def interrupt_close(where: Where, kind: str) -> None:
    """A close() that waits for another thread's call is interrupted. That call then closes."""
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
        while not shim.calls("rbd_read") + shim.calls("rbd_list2"):
            time.sleep(0.01)
        error = raised_by(lambda: (interrupt_after(0.3), closed.close()))
        assert isinstance(error, KeyboardInterrupt)
        assert not answers
        assert shim.calls("rbd_close") == 0
        closed.close()
        refused(image.size if kind == "image" else lambda: rbd.RBD().list(ioctx))
        thread.join()
    assert answers == [b"AAAA" if kind == "image" else [where[3]]], answers
    image.close()
    all_closed(shim)


@pytest.mark.parametrize("kind", ["image", "ioctx"])
def test_ctrl_c_ends_the_wait_of_a_close(shimmed: Callable[..., Any], kind: str) -> None:
    for _ in range(ROUNDS):
        shimmed(interrupt_close, kind)
        figures.note("closes interrupted", 1)


def interrupt_transfer(where: Where, kind: str) -> None:
    """Further Ctrl-C end a transfer's waits for its operations, and for its image to close."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    image.resize(64 << 20)
    for offset in range(0, 64 << 20, 4 << 20):
        image.write(os.urandom(4 << 20), offset)
    image.flush()
    name = f"{where[3]}-imported"
    over = threading.Event()

    def interrupt_on() -> None:
        """Send Ctrl-C repeatedly, from the time when operations are in flight."""
        while not over.wait(0.5):
            if balance(shim)[3] > 0:
                os.kill(os.getpid(), signal.SIGINT)

    def handler(*_: Any) -> None:
        if not over.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    shim.late(8000)
    thread = threading.Thread(target=interrupt_on)
    thread.start()

    def transfer() -> None:
        try:
            if kind == "export":
                rbd.transfer.export_image(image, Sink())
            else:
                rbd.transfer.import_image(Endless(), ioctx, name)
        finally:
            over.set()

    error = raised_by(transfer)
    assert isinstance(error, KeyboardInterrupt), repr(error)
    thread.join()
    # The transfer has not waited for the last of the operations.
    assert balance(shim)[3] > 0
    shim.late(0)
    image.close()
    all_closed(shim)
    # The partial image does not exist.
    assert name not in rbd.RBD().list(ioctx)


@pytest.mark.parametrize("kind", ["export", "import"])
def test_ctrl_c_ends_a_transfer_with_operations_in_flight(
    shimmed: Callable[..., Any], kind: str
) -> None:
    for _ in range(TRANSFERS):
        shimmed(interrupt_transfer, kind)
        figures.note("transfers interrupted again", 1)


def out_of_descriptors(where: Where, kind: str) -> None:
    """An interrupted call is abandoned even if no more files can be opened."""
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust() -> None:
        time.sleep(0.3)
        unused = os.open(os.devnull, os.O_RDONLY)
        os.close(unused)
        resource.setrlimit(resource.RLIMIT_NOFILE, (unused, limits[1]))
        for _ in range(2):
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)

    def handler(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    thread = threading.Thread(target=exhaust)

    def interrupted(call: Callable[[], Any]) -> None:
        thread.start()
        try:
            call()
        finally:
            with contextlib.suppress(KeyboardInterrupt):
                thread.join()

    image.resize(SIZE * 2)
    shim.late(6000)
    with shim.fault("rbd_resize2", Kind.LINGER, 6000, count=1):
        error = raised_by(
            lambda: interrupted(
                (lambda: image.read_blocks([0] * 64, 512))
                if kind == "batch"
                else lambda: image.resize(SIZE, on_progress=lambda *_: 0)
            )
        )
    assert isinstance(error, KeyboardInterrupt), repr(error)
    thread.join()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    shim.late(0)
    image.close()
    all_closed(shim)


@pytest.mark.parametrize("kind", ["batch", "long call"])
def test_interrupted_calls_are_abandoned_without_free_descriptors(
    shimmed: Callable[..., Any], kind: str
) -> None:
    shimmed(out_of_descriptors, kind)


def abandon_without_threads(where: Where) -> None:
    """If no thread can be started for abandoned work, the next call starts it."""
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    shim.late(3000)
    interrupt_after(0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", starts_no_thread)
        error = raised_by(lambda: image.read_blocks([0] * 64, 512))
    assert isinstance(error, KeyboardInterrupt), repr(error)
    assert balance(shim)[3] > 0
    shim.late(0)
    image.aio_flush(None).wait_for_complete_and_cb()
    image.close()
    all_closed(shim)


def starts_no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_batch_is_abandoned_even_if_no_thread_can_start(shimmed: Callable[..., Any]) -> None:
    shimmed(abandon_without_threads)


def leave_a_batch(where: Where) -> None:
    """Ctrl-C comes again while a batch passes on what it abandons."""
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    start = threading.Thread.start
    attempts = 0

    def interrupted_start(thread: threading.Thread) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise KeyboardInterrupt
        start(thread)

    shim.late(4000)
    interrupt_after(0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted_start)
        error = raised_by(lambda: image.read_blocks([0] * 64, 512))
    assert isinstance(error, KeyboardInterrupt)
    assert attempts == 3
    assert balance(shim)[3] > 0
    shim.late(0)
    image.close()
    all_closed(shim)


def test_a_second_ctrl_c_does_not_disturb_an_abandoned_batch(shimmed: Callable[..., Any]) -> None:
    shimmed(leave_a_batch)
