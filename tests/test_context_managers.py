"""If the end of a context manager fails, it raises, but never replaces the body's exception."""

from __future__ import annotations

import asyncio
import errno
import io
import os
from typing import Any, Callable, Dict

import pytest

import rbd
import rbd.aio
import rbd.transfer
from rbd.transfer import progress, source
from support import fakerbd, isolated
from support.fakerbd import Kind, Shim
from support.location import Where, open_all, raised_by


class Body(Exception):
    """The body's exception."""


def entered(manager: Any, error: bool) -> None:
    with manager:
        if error:
            raise Body


def entered_async(manager: Any, error: bool) -> None:
    async def run() -> None:
        async with manager():
            if error:
                raise Body

    asyncio.run(run())


# The function of librbd that fails at the end of each manager.
ENDS: Dict[str, str] = {
    "image": "rbd_close",
    "watch": "rbd_update_unwatch",
    "asynchronous image": "rbd_aio_close",
}


def failing_end(where: Where, kind: str) -> None:
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    enter: Dict[str, Callable[[bool], None]] = {
        "image": lambda error: entered(rbd.Image(ioctx, where[3]), error),
        "watch": lambda error: entered(image.on_update(print), error),
        "asynchronous image": lambda error: entered_async(
            lambda: rbd.aio.open(ioctx, where[3]), error
        ),
    }
    for error in (False, True):
        # An asynchronous call that fails afterwards would be one that librbd also completes.
        fails = Kind.ERROR if "aio" in ENDS[kind] else Kind.AFTER
        with shim.fault(ENDS[kind], fails, errno.EIO):
            raised = raised_by(lambda error=error: enter[kind](error))  # type: ignore[misc]
        assert type(raised) is (Body if error else rbd.IOError), repr(raised)
        assert shim.last() == ENDS[kind]


@fakerbd.needs_compiler
@pytest.mark.parametrize("kind", ENDS)
def test_a_failing_end_of_a_handle_keeps_the_body_s_exception(
    shimmed: Callable[..., Any], kind: str
) -> None:
    shimmed(failing_end, kind)


def inherited(where: Where) -> None:
    """The end of an inherited object is refused after fork()."""
    cluster, ioctx, image = open_all(where)
    watch = image.on_update(print)
    child = os.fork()
    if child == 0:
        hidden = [
            repr(manager)
            for manager in (watch, image, ioctx, cluster)
            if not isinstance(raised_by(lambda m=manager: entered(m, True)), Body)  # type: ignore[misc]
        ]
        print(hidden, flush=True)
        os._exit(bool(hidden))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_refused_end_after_fork_keeps_the_body_s_exception(where: Where) -> None:
    isolated.run(inherited, where)


class Bar:
    """A progress bar on a terminal that is closed."""

    def close(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("error", [False, True])
def test_a_failing_end_of_a_source_keeps_the_body_s_exception(
    error: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(source.Source, "close", close)
    raised = raised_by(lambda: entered(source.Source(io.BytesIO()), error))
    assert type(raised) is (Body if error else BrokenPipeError)


@pytest.mark.parametrize("error", [False, True])
def test_a_failing_end_of_a_bar_keeps_the_body_s_exception(error: bool) -> None:
    shown = progress.Progress(None, False, 0, "")
    shown._bar = Bar()
    raised = raised_by(lambda: entered(shown, error))
    assert type(raised) is (Body if error else BrokenPipeError)
