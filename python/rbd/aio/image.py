"""Open images, awaitable."""

from __future__ import annotations

import asyncio
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Optional,
    Sequence,
    SupportsIndex,
    Tuple,
    TypeVar,
    Union,
    overload,
)

from .. import _core
from .._core import Image
from ._methods import ImageMethods
from ._queue import queue_of
from ._twins import Closing, Opening, call, unwrap
from .watch import AsyncWatch, Updates, in_loop

if TYPE_CHECKING:
    from ..types import AnyBuffer, AnyIoctx
    from .ioctx import AsyncIoctx

    _Out = TypeVar("_Out", bound=AnyBuffer)
    _Offsets = Union[AnyBuffer, Sequence[SupportsIndex]]

__all__ = ["AsyncImage", "open"]


class AsyncImage(Closing, ImageMethods):
    """An open image whose calls are awaited.

    Calls may overlap as the program likes: each is one coroutine; one that fails harms no other.
    A buffer that is read into or written is held until librbd is done with it, even where the task
    that awaited it is cancelled; it must not be changed before that. Offsets and lengths are bytes.
    Errors are those of the methods of `rbd.Image` with the same names.

    image: an open `rbd.Image`, which is closed with this one. `rbd.aio.open` makes both.
    """

    __slots__ = ("_calls", "_closing", "_updates")

    def __init__(self, image: Image) -> None:
        self._calls = _core._AsyncCalls(image, queue_of)
        self._closing: Optional[asyncio.Future[None]] = None
        self._updates: weakref.WeakSet[Updates] = weakref.WeakSet()
        super().__init__(image)

    @property
    def image(self) -> Image:
        """The image itself, for what needs no awaiting; its calls block the loop."""
        image: Image = self._sync
        return image

    @property
    def closed(self) -> bool:
        """Whether the image is closed, or about to be."""
        return self.image.closed

    @property
    def name(self) -> Optional[str]:
        """The name that the image was opened by; None if it was opened by its id."""
        return self.image.name

    def require_not_closed(self) -> None:
        """Raise InvalidArgument if the image is closed."""
        self.image.require_not_closed()

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncImage of {self._sync!r}>"

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

    async def readv(self, buffers: Sequence[AnyBuffer], offset: SupportsIndex) -> int:
        """Read into one writable buffer after the other. Returns the number of bytes read.

        Implements: rbd_aio_readv
        """
        count: int = await self._batch(self._calls.readv(buffers, offset))
        return count

    async def writev(self, buffers: Sequence[AnyBuffer], offset: SupportsIndex) -> int:
        """Write one buffer after the other at `offset`. Returns the number of bytes.

        Implements: rbd_aio_writev
        """
        count: int = await self._batch(self._calls.writev(buffers, offset))
        return count

    @overload
    async def read_blocks(
        self,
        offsets: _Offsets,
        block_size: SupportsIndex,
        out: None = None,
        *,
        queue_depth: SupportsIndex = 64,
    ) -> bytearray: ...
    @overload
    async def read_blocks(
        self,
        offsets: _Offsets,
        block_size: SupportsIndex,
        out: _Out,
        *,
        queue_depth: SupportsIndex = 64,
    ) -> _Out: ...
    async def read_blocks(
        self,
        offsets: _Offsets,
        block_size: SupportsIndex,
        out: Any = None,
        *,
        queue_depth: SupportsIndex = 64,
    ) -> Any:
        """Read a block of `block_size` bytes from each of `offsets`; one future for all of them.

        Each operation is submitted by the librbd thread in which another one completes. Cancelled,
        it submits nothing more; `out` is held until what is in flight has completed. The rest is as
        in `rbd.Image.read_blocks`.

        Implements: rbd_aio_read
        """
        return await self._batch(self._calls.read_blocks(offsets, block_size, out, queue_depth))

    async def write_blocks(
        self, data: AnyBuffer, offsets: _Offsets, *, queue_depth: SupportsIndex = 64
    ) -> int:
        """Write the blocks of `data`, each at its offset; one future for all of them.

        Cancelled, it submits nothing more; `data` is held until what is in flight has completed.
        The rest is as in `rbd.Image.write_blocks`.

        Implements: rbd_aio_write
        """
        count: int = await self._batch(self._calls.write_blocks(data, offsets, queue_depth))
        return count

    async def _batch(self, submitted: Tuple[Awaitable[Any], Callable[[], None]]) -> Any:
        awaited, stop = submitted
        try:
            return await awaited
        except BaseException:
            # Cancelled, or closed unfinished. One that has failed has nothing to stop.
            stop()
            raise

    async def _watch(self, name: str, *callbacks: Any, **options: Any) -> Any:
        return await call(getattr(self.image, name), callbacks, options, {})

    async def on_update(self, callback: Callable[[], object]) -> AsyncWatch:
        """Call `callback()` in this loop whenever the image has changed. Returns a watch.

        `callback` may be a coroutine function. Otherwise as `rbd.Image.on_update`; see `updates()`.

        Implements: rbd_update_watch
        """
        return AsyncWatch(await self._watch("on_update", in_loop(callback, wait=False)))

    async def on_quiesce(
        self,
        quiesce: Optional[Callable[[], object]],
        unquiesce: Optional[Callable[[], object]] = None,
        *,
        timeout: Optional[float] = 40.0,
    ) -> AsyncWatch:
        """Call `quiesce()` in this loop before anyone takes a snapshot, which waits for it.

        `quiesce` and `unquiesce` may be coroutine functions. Otherwise as `rbd.Image.on_quiesce`.

        Implements: rbd_quiesce_watch, rbd_quiesce_complete
        """
        before = in_loop(quiesce, wait=True)
        after = in_loop(unquiesce, wait=False)
        return AsyncWatch(await self._watch("on_quiesce", before, after, timeout=timeout))

    def updates(self) -> Updates:
        """Return the image's changes as an asynchronous iterator and context manager.

        Each item is the number of changes that were heard of since the last one: at least 1. The
        iteration ends when the image is closed.

        Examples
        --------
        >>> async with image.updates() as updates:
        ...     async for _ in updates:
        ...         print(await image.size())
        """
        made = Updates(self.on_update)
        self._updates.add(made)
        return made

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
        for updates in list(self._updates):
            updates._end()
        if closing is None or closing.get_loop() is not asyncio.get_running_loop():
            self._closing = closing = self._calls.close()
        await asyncio.shield(closing)


def open(
    ioctx: Union[AnyIoctx, AsyncIoctx],
    name: Union[str, bytes, None] = None,
    snapshot: Union[str, bytes, None] = None,
    *,
    read_only: bool = False,
    image_id: Union[str, bytes, None] = None,
) -> Opening[AsyncImage]:
    """Opens an image without blocking the loop; to be awaited, or entered by `async with`.

    Parameters and errors are those of `rbd.Image`. Cancelled, it closes what librbd opens all the
    same. Implements: rbd_aio_open, rbd_aio_open_read_only, rbd_aio_open_by_id,
    rbd_aio_open_by_id_read_only
    """

    async def start() -> AsyncImage:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Image] = loop.create_future()
        queue_of(loop).open(future, unwrap(ioctx), name, snapshot, read_only, image_id)
        return AsyncImage(await future)

    return Opening(start)
