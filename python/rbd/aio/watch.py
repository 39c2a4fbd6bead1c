"""Watches of an image whose callbacks run in a loop, and the image's changes as an iterator."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Optional, Type

from .. import _core
from ._twins import Closing, Twin, method
from ._workers import ask

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AsyncWatch", "Updates"]


def in_loop(
    callback: Optional[Callable[[], object]], *, wait: bool
) -> Optional[Callable[[], object]]:
    """Return a function for other threads that runs a callback in the running loop.

    wait: whether the other thread waits for the callback, and gets the exception that it raises.
    """
    if callback is None or not callable(callback):
        return callback  # the watch itself reports the error
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    never = _core._Cancellation()

    def waited() -> object:
        try:
            return ask(loop, context, never, callback, ())
        except asyncio.CancelledError:
            raise RuntimeError("the loop of the callback is closed") from None

    def posted() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(run, context=context)

    def run() -> None:
        result = callback()
        if asyncio.iscoroutine(result):
            task = loop.create_task(result)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[Any]] = set()
    return waited if wait else posted


class AsyncWatch(Closing, Twin):
    """A watch of an image, as `AsyncImage.on_update` and `AsyncImage.on_quiesce` return it.

    It lasts until `close`, or until the image is closed. It is an asynchronous context manager.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the watch has ended."""
        closed: bool = self._sync.closed
        return closed

    async def close(self) -> None:
        """End the watch: after this returns, none of its callbacks begins.

        Implements: rbd_update_unwatch, rbd_quiesce_unwatch
        """
        await _close(self)


_close = method(_core.Watch.close, AsyncWatch)


class Updates:
    """The changes of an image: an asynchronous iterator, and a context manager that ends it.

    Parameters
    ----------
    on_update
        The image's `AsyncImage.on_update`. `AsyncImage.updates` makes one of these.
    """

    def __init__(self, on_update: Callable[[Callable[[], None]], Awaitable[AsyncWatch]]) -> None:
        self._on_update = on_update
        self._watch: Optional[AsyncWatch] = None
        self._heard = 0
        self._ended = False
        self._waiter: Optional[asyncio.Future[None]] = None
        self._in_use = False

    def _changed(self) -> None:
        self._heard += 1
        self._wake()

    def _end(self) -> None:
        self._ended = True
        waiter = self._waiter
        if waiter is not None:
            loop = waiter.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _start(self) -> None:
        if self._watch is None:
            self._watch = await self._on_update(self._changed)

    def __aiter__(self) -> Updates:
        return self

    async def __anext__(self) -> int:
        if self._in_use:
            raise RuntimeError("another task already waits for the next item of this iterator")
        self._in_use = True
        try:
            return await self._next()
        finally:
            self._in_use = False

    async def _next(self) -> int:
        if not self._ended:
            await self._start()
        while not self._heard:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        heard, self._heard = self._heard, 0
        return heard

    async def close(self) -> None:
        """End the iteration. Closing twice does nothing."""
        self._end()
        if self._watch is not None:
            await self._watch.close()

    aclose = close

    async def __aenter__(self) -> Updates:
        await self._start()
        return self

    async def __aexit__(
        self,
        type_: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._end()
        if self._watch is not None:
            await self._watch.__aexit__(type_, value, traceback)
