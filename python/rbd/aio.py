"""Images in asyncio: many calls in flight, and no thread waiting for any of them.

    async with rbd.aio.open(ioctx, "vm1") as image:
        data = await image.read(0, 4096)
        await asyncio.gather(*(image.write(block, at) for at, block in blocks.items()))

librbd completes each call in a thread of its own and puts it into a queue; the event loop takes all
that have completed, when the queue's descriptor becomes readable. There is one queue for each loop,
for any number of images. An `AsyncImage` can be used from any loop, and from several loops in
several threads at a time. The loop must have `add_reader`: the standard one does, and uvloop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, Generator, Optional, Sequence, Type, Union

from . import _core
from .exceptions import Error

if TYPE_CHECKING:
    from types import TracebackType

    from .types import AnyBuffer, AnyIoctx

__all__ = ["AsyncImage", "open"]

# Weakly both: a loop keeps the queue that it reads until it is closed. Then the queue is gone, and
# what was in flight in it is freed once librbd is done with it.
_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ReferenceType[_core._LoopQueue]
] = weakref.WeakKeyDictionary()
_queues_lock = threading.Lock()


def _forget_the_lock() -> None:
    # A child may have inherited it from a thread that it does not have.
    global _queues_lock
    _queues_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_the_lock)


def _queue_of(loop: asyncio.AbstractEventLoop) -> _core._LoopQueue:
    """The loop's queue, which it makes and has the loop read."""
    with _queues_lock:
        reference = _queues.get(loop)
        queue = None if reference is None else reference()
        if queue is None:
            queue = _core._LoopQueue()
            loop.add_reader(queue.fileno(), queue.drain)
            _queues[loop] = weakref.ref(queue)
        return queue


class AsyncImage:
    """An open image whose calls are awaited.

    Calls may overlap as the program likes: each is one coroutine; one that fails harms no other.
    A buffer that is read into or written is held until librbd is done with it, even where the task
    that awaited it is cancelled; it must not be changed before that. Offsets and lengths are bytes.
    Errors are those of the methods of `rbd.Image` with the same names.

    image: an open `rbd.Image`, which is closed with this one. `rbd.aio.open` makes both.
    """

    __slots__ = ("__weakref__", "_calls", "_closing", "_image")

    def __init__(self, image: _core.Image) -> None:
        self._image = image
        self._calls = _core._AsyncCalls(image, _queue_of)
        self._closing: Optional[asyncio.Future[None]] = None

    @property
    def image(self) -> _core.Image:
        """The image itself, for what needs no awaiting; its calls block the loop."""
        return self._image

    @property
    def closed(self) -> bool:
        """Whether the image is closed, or about to be."""
        return self._image.closed

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncImage of {self._image!r}>"

    async def read(self, offset: int, length: int, fadvise_flags: int = 0) -> bytes:
        """The `length` bytes from `offset`; fewer only at the end of the image.

        Implements: rbd_aio_read, rbd_aio_read2
        """
        return await self._calls.read(offset, length, fadvise_flags)

    async def readinto(self, buffer: AnyBuffer, offset: int, fadvise_flags: int = 0) -> int:
        """Reads into a writable buffer, as many bytes as it has; gives how many came.

        Implements: rbd_aio_read, rbd_aio_read2
        """
        return await self._calls.readinto(buffer, offset, fadvise_flags)

    async def write(self, data: AnyBuffer, offset: int, fadvise_flags: int = 0) -> int:
        """Writes a buffer at `offset`; gives how many bytes.

        Implements: rbd_aio_write, rbd_aio_write2
        """
        return await self._calls.write(data, offset, fadvise_flags)

    async def readv(self, buffers: Sequence[AnyBuffer], offset: int) -> int:
        """Reads into one writable buffer after the other; gives how many bytes came.

        Implements: rbd_aio_readv
        """
        return await self._calls.readv(buffers, offset)

    async def writev(self, buffers: Sequence[AnyBuffer], offset: int) -> int:
        """Writes one buffer after the other; gives how many bytes.

        Implements: rbd_aio_writev
        """
        return await self._calls.writev(buffers, offset)

    async def discard(self, offset: int, length: int) -> int:
        """Frees `length` bytes from `offset`, which then read as zeroes; gives `length`.

        Implements: rbd_aio_discard
        """
        return await self._calls.discard(offset, length)

    async def write_zeroes(self, offset: int, length: int, zero_flags: int = 0) -> int:
        """Writes zeroes over `length` bytes from `offset`; gives `length`.

        zero_flags: RBD_WRITE_ZEROES_FLAG_*. Implements: rbd_aio_write_zeroes
        """
        return await self._calls.write_zeroes(offset, length, zero_flags)

    async def write_same(
        self, data: AnyBuffer, offset: int, length: int, *, fadvise_flags: int = 0
    ) -> int:
        """Repeats `data` over `length` bytes from `offset`, a multiple of its size; gives `length`.

        Implements: rbd_aio_writesame
        """
        return await self._calls.write_same(data, offset, length, fadvise_flags)

    async def compare_and_write(
        self, compare: AnyBuffer, data: AnyBuffer, offset: int, *, fadvise_flags: int = 0
    ) -> int:
        """Writes `data` at `offset` where the image holds `compare`, atomically.

        Gives how many bytes. Raises CompareMismatch, whose offset tells where it first differs.

        Implements: rbd_aio_compare_and_write
        """
        return await self._calls.compare_and_write(compare, data, offset, fadvise_flags)

    async def flush(self) -> None:
        """Returns when every write that has returned is safe in the cluster.

        Implements: rbd_aio_flush
        """
        await self._calls.flush()

    async def close(self) -> None:
        """Closes the image, once what is in flight is done; later calls raise InvalidArgument.

        Closing twice is no error. A cancelled close goes on. Implements: rbd_aio_close
        """
        closing = self._closing
        if closing is None or closing.get_loop() is not asyncio.get_running_loop():
            self._closing = closing = self._calls.close()
        await asyncio.shield(closing)

    async def __aenter__(self) -> AsyncImage:
        return self

    async def __aexit__(
        self,
        type_: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            await self.close()
        except Error:
            # The body's exception says more than a failed close.
            if value is None:
                raise


class _Opening:
    """What `open` gives: to be awaited, or entered by `async with`."""

    __slots__ = ("_image", "_start")

    def __init__(self, start: Callable[[asyncio.Future[Any], _core._LoopQueue], None]) -> None:
        self._start = start
        self._image: Optional[AsyncImage] = None

    async def _open(self) -> AsyncImage:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_core.Image] = loop.create_future()
        self._start(future, _queue_of(loop))
        return AsyncImage(await future)

    def __await__(self) -> Generator[Any, None, AsyncImage]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncImage:
        self._image = await self._open()
        return self._image

    async def __aexit__(
        self,
        type_: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._image is not None:
            await self._image.__aexit__(type_, value, traceback)


def open(
    ioctx: AnyIoctx,
    name: Union[str, bytes, None] = None,
    snapshot: Union[str, bytes, None] = None,
    *,
    read_only: bool = False,
    image_id: Union[str, bytes, None] = None,
) -> _Opening:
    """Opens an image without blocking the loop; to be awaited, or entered by `async with`.

    Parameters and errors are those of `rbd.Image`. Cancelled, it closes what librbd opens all the
    same. Implements: rbd_aio_open, rbd_aio_open_read_only, rbd_aio_open_by_id,
    rbd_aio_open_by_id_read_only
    """
    return _Opening(
        lambda future, queue: queue.open(future, ioctx, name, snapshot, read_only, image_id)
    )
