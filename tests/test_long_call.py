"""Progress of long calls: the reports, how to stop a call, and which calls librbd stops."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from typing import Any, Callable, Optional

import pytest

import rbd
from support import isolated
from support.location import Where, open_all

SIZE = 16 << 20
ORDER = 16  # many small objects, for many reports


class Stop(Exception):
    """Raised by a callback."""


@pytest.fixture
def clone(rbd_ioctx: rbd.rados.Ioctx) -> Any:
    tool = rbd.RBD()
    tool.create(rbd_ioctx, "parent", SIZE, order=ORDER)
    with rbd.Image(rbd_ioctx, "parent") as parent:
        parent.write(b"\x5a" * SIZE, 0)
        parent.create_snap("s")
        parent.protect_snap("s")
    tool.clone(rbd_ioctx, "parent", "s", rbd_ioctx, "clone")
    return rbd_ioctx


Call = Callable[[rbd.rados.Ioctx, Optional[Callable[[int, int], Any]]], Any]


def flatten(ioctx: rbd.rados.Ioctx, report: Any) -> None:
    with rbd.Image(ioctx, "clone") as image:
        image.flatten(on_progress=report)


def shrink(ioctx: rbd.rados.Ioctx, report: Any) -> None:
    with rbd.Image(ioctx, "parent") as image:
        image.resize(0, on_progress=report)


def rollback(ioctx: rbd.rados.Ioctx, report: Any) -> None:
    with rbd.Image(ioctx, "parent") as image:
        image.rollback_to_snap("s", on_progress=report)


def sparsify(ioctx: rbd.rados.Ioctx, report: Any) -> None:
    with rbd.Image(ioctx, "parent") as image:
        image.sparsify(4096, on_progress=report)


def remove(ioctx: rbd.rados.Ioctx, report: Any) -> None:
    rbd.RBD().remove(ioctx, "clone", on_progress=report)


# librbd heeds the callback's answer in these calls.
HEEDED = [flatten, shrink, rollback, sparsify, remove]


@pytest.mark.parametrize("call", HEEDED)
def test_progress_is_reported_in_the_calling_thread(clone: rbd.rados.Ioctx, call: Call) -> None:
    threads = set()
    reports = []

    def report(done: int, total: int) -> None:
        threads.add(threading.get_ident())
        reports.append((done, total))

    call(clone, report)
    assert reports
    assert all(0 <= done <= total for done, total in reports)
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("call", HEEDED)
def test_an_exception_of_a_callback_stops_the_call(clone: rbd.rados.Ioctx, call: Call) -> None:
    count = 0

    def report(done: int, total: int) -> None:
        nonlocal count
        count += 1
        raise Stop(done)

    with pytest.raises(Stop):
        call(clone, report)
    assert count == 1


@pytest.mark.parametrize("call", HEEDED)
def test_a_negative_answer_cancels_the_call(clone: rbd.rados.Ioctx, call: Call) -> None:
    with pytest.raises(rbd.OperationCanceled) as caught:
        call(clone, lambda done, total: -rbd.ECANCELED)
    assert caught.value.errno == rbd.ECANCELED


@pytest.mark.parametrize("bad", ["x", 1.5, object()])
def test_a_callback_must_return_a_number(clone: rbd.rados.Ioctx, bad: Any) -> None:
    with pytest.raises(TypeError):
        flatten(clone, lambda done, total: bad)


def test_a_callback_must_be_callable(clone: rbd.rados.Ioctx) -> None:
    with pytest.raises(TypeError, match="on_progress"):
        flatten(clone, 5)


def test_a_callback_may_close_the_image(clone: rbd.rados.Ioctx) -> None:
    image = rbd.Image(clone, "clone")
    image.flatten(on_progress=lambda done, total: image.close())
    assert image.closed
    with rbd.Image(clone, "clone") as again:
        assert again.overlap() == 0


def calls_in_callbacks(where: Where, name: str) -> None:
    """librbd's threads wait while the callback runs, but the callback's calls need them."""
    _cluster, ioctx, image = open_all(where)
    tool = rbd.RBD()
    tool.create(ioctx, "parent", SIZE, order=ORDER)
    reports = 0

    def report(done: int, total: int) -> int:
        nonlocal reports
        reports += 1
        assert image.read(0, 4) == b"AAAA"
        rbd.Image(ioctx, where[3], read_only=True).close()
        return 0

    def stop(done: int, total: int) -> int:
        assert image.read(0, 4) == b"AAAA"
        return -errno.ECANCELED

    for _ in range(5):
        with rbd.Image(ioctx, "parent") as parent:
            parent.resize(SIZE)
            parent.write(b"\x5a" * SIZE, 0)
            parent.create_snap("s")
            if name == "rollback":
                parent.write(b"\xa5" * SIZE, 0)
                parent.rollback_to_snap("s", on_progress=report)
                assert parent.read(0, SIZE) == b"\x5a" * SIZE
            parent.remove_snap("s")
            if name == "shrink":
                with contextlib.suppress(rbd.OperationCanceled):
                    parent.resize(1 << ORDER, on_progress=stop)
                parent.resize(0, on_progress=report)
            if name == "sparsify":
                parent.sparsify(4096, on_progress=report)
    assert reports >= 5
    tool.remove(ioctx, "parent", on_progress=report)


@pytest.mark.parametrize("name", ["rollback", "shrink", "sparsify"])
def test_a_callback_may_call_librbd(where: Where, name: str) -> None:
    isolated.run(calls_in_callbacks, where, name)


def test_a_signal_stops_a_long_call(clone: rbd.rados.Ioctx) -> None:
    def interrupt(done: int, total: int) -> None:
        if not timer.is_alive() and not sent:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    sent: list[float] = []
    timer = threading.Timer(0.0, lambda: None)
    timer.start()
    timer.join()
    with pytest.raises(KeyboardInterrupt):
        flatten(clone, interrupt)
    assert sent
