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

    Calls may overlap. One that fails does not affect another. The buffer of a call is held until
    the call has completed, even if its task is cancelled; it must not change before that. Offsets
    and lengths are bytes. The exceptions are those of the methods of `rbd.Image` with the same
    names.

    Parameters
    ----------
    image
        An open image, which is closed with this one. `rbd.aio.open` opens both.
    """

    __slots__ = ("_calls", "_closing", "_updates")

    def __init__(self, image: Image) -> None:
        self._calls = _core._AsyncCalls(image, queue_of)
        self._closing: Optional[asyncio.Future[None]] = None
        self._updates: weakref.WeakSet[Updates] = weakref.WeakSet()
        super().__init__(image)

    @property
    def image(self) -> Image:
        """The image itself, for calls that return at once. Its other calls block the loop."""
        image: Image = self._sync
        return image

    @property
    def closed(self) -> bool:
        """Whether the image is closed, or a close has begun."""
        return self.image.closed

    @property
    def name(self) -> Optional[str]:
        """The name that the image was opened by; None if it was opened by its id."""
        return self.image.name

    def require_not_closed(self) -> None:
        """Raise an exception if the image is closed.

        Raises
        ------
        InvalidArgument
            The image is closed.
        """
        self.image.require_not_closed()

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncImage of {self._sync!r}>"

    async def read(self, offset: int, length: int, fadvise_flags: int = 0) -> bytes:
        """Read from the image.

        Parameters
        ----------
        offset
            Where to begin, in bytes.
        length
            The number of bytes to read.
        fadvise_flags
            Hints, `LIBRADOS_OP_FLAG_FADVISE_*`.

        Returns
        -------
        The data, shorter than `length` only at the end of the image.

        Examples
        --------
        >>> await image.read(0, 5)
        b'hello'

        Implements: rbd_aio_read, rbd_aio_read2
        """
        return await self._calls.read(offset, length, fadvise_flags)

    async def readinto(self, buffer: AnyBuffer, offset: int, fadvise_flags: int = 0) -> int:
        """Read from the image into a writable buffer.

        Parameters
        ----------
        buffer
            The buffer. Its size is the number of bytes to read.
        offset
            Where to begin, in bytes.
        fadvise_flags
            Hints, `LIBRADOS_OP_FLAG_FADVISE_*`.

        Returns
        -------
        The number of bytes read, fewer than the buffer has only at the end of the image.

        Examples
        --------
        >>> buffer = bytearray(4096)
        >>> await image.readinto(buffer, 0)
        4096

        Implements: rbd_aio_read, rbd_aio_read2
        """
        return await self._calls.readinto(buffer, offset, fadvise_flags)

    async def write(self, data: AnyBuffer, offset: int, fadvise_flags: int = 0) -> int:
        """Write to the image.

        Parameters
        ----------
        data
            The data: any C-contiguous buffer.
        offset
            Where to write, in bytes.
        fadvise_flags
            Hints, `LIBRADOS_OP_FLAG_FADVISE_*`.

        Returns
        -------
        The number of bytes written.

        Raises
        ------
        IncompleteWriteError
            The image ends before the data does. What is within the image was written.
        InvalidArgument
            `offset` is at the end of the image, or beyond it.
        ReadOnlyImage
            The image is open read-only, or at a snapshot.

        Examples
        --------
        >>> await image.write(b"hello", 0)
        5

        Implements: rbd_aio_write, rbd_aio_write2
        """
        return await self._calls.write(data, offset, fadvise_flags)

    async def readv(self, buffers: Sequence[AnyBuffer], offset: SupportsIndex) -> int:
        """Read from the image into several buffers, one after the other.

        Parameters
        ----------
        buffers
            Writable buffers.
        offset
            Where to begin, in bytes.

        Returns
        -------
        The number of bytes read, fewer than the buffers have only at the end of the image.

        Implements: rbd_aio_readv
        """
        count: int = await self._batch(self._calls.readv(buffers, offset))
        return count

    async def writev(self, buffers: Sequence[AnyBuffer], offset: SupportsIndex) -> int:
        """Write several buffers to the image, one after the other.

        Parameters
        ----------
        buffers
            C-contiguous buffers.
        offset
            Where to write, in bytes.

        Returns
        -------
        The number of bytes written.

        Raises
        ------
        IncompleteWriteError
            The image ends before the data does.

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
        """Read blocks of one size from many offsets.

        Parameters
        ----------
        offsets
            The offsets in the image, in bytes: numbers, or an array of integers.
        block_size
            The number of bytes of each block.
        out
            A writable buffer for the blocks, in the order of `offsets`; None makes a new one.
        queue_depth
            The most operations in flight.

        Returns
        -------
        `out`, or a new bytearray.

        Raises
        ------
        InvalidArgument
            A block is not within the image. The exception's `index` and `offset` say which one.
        ValueError
            `out` does not have the size of all blocks, or a number is out of range.

        Notes
        -----
        There is one future for all blocks. The thread of librbd in which an operation completes
        submits the next one. If the task is cancelled, no more operations are submitted, and `out`
        is held until those in flight have completed.

        Examples
        --------
        >>> blocks = await image.read_blocks([0, 1 << 20, 8192], 4096)
        >>> len(blocks)
        12288

        Implements: rbd_aio_read
        """
        return await self._batch(self._calls.read_blocks(offsets, block_size, out, queue_depth))

    async def write_blocks(
        self, data: AnyBuffer, offsets: _Offsets, *, queue_depth: SupportsIndex = 64
    ) -> int:
        """Write blocks of one size to many offsets.

        Parameters
        ----------
        data
            The blocks, one after the other: any C-contiguous buffer.
        offsets
            The offsets in the image, in bytes: numbers, or an array of integers.
        queue_depth
            The most operations in flight.

        Returns
        -------
        The number of bytes written.

        Raises
        ------
        InvalidArgument
            A block begins beyond the end of the image. The exception's `index` and `offset` say
            which one.
        ValueError
            The size of `data` is not a multiple of the number of offsets.

        Notes
        -----
        There is one future for all blocks. If the task is cancelled, no more operations are
        submitted, and `data` is held until those in flight have completed.

        Examples
        --------
        >>> await image.write_blocks(b"a" * 4096 + b"b" * 4096, [0, 1 << 20])
        8192

        Implements: rbd_aio_write
        """
        count: int = await self._batch(self._calls.write_blocks(data, offsets, queue_depth))
        return count

    async def _batch(self, submitted: Tuple[Awaitable[Any], Callable[[], None]]) -> Any:
        awaited, stop = submitted
        try:
            return await awaited
        except BaseException:
            # The batch was cancelled, or closed before its end. A batch that has failed has nothing
            # to stop.
            stop()
            raise

    async def _watch(self, name: str, *callbacks: Any, **options: Any) -> Any:
        return await call(getattr(self.image, name), callbacks, options, {})

    async def on_update(self, callback: Callable[[], object]) -> AsyncWatch:
        """Call a function in this loop whenever the image has changed. See also `updates`.

        Parameters
        ----------
        callback
            Called without arguments. It may be a coroutine function.

        Returns
        -------
        A watch, which ends the calls.

        Raises
        ------
        TypeError
            `callback` is not callable.

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
        """Call a function in this loop before a client takes a snapshot, which waits for it.

        Parameters
        ----------
        quiesce
            Called without arguments before the snapshot. If it raises, the snapshot fails. It may
            be a coroutine function; None does nothing.
        unquiesce
            Called without arguments afterwards. It may be a coroutine function.
        timeout
            The number of seconds after which the snapshot fails if `quiesce` has not returned; None
            means no limit.

        Returns
        -------
        A watch, which ends the calls.

        Raises
        ------
        TypeError
            `quiesce` or `unquiesce` is not callable.

        Implements: rbd_quiesce_watch, rbd_quiesce_complete
        """
        before = in_loop(quiesce, wait=True)
        after = in_loop(unquiesce, wait=False)
        return AsyncWatch(await self._watch("on_quiesce", before, after, timeout=timeout))

    def updates(self) -> Updates:
        """Return an asynchronous iterator over the changes of the image.

        Each item is the number of changes since the previous one, at least 1. The iteration ends
        when the image is closed.

        Returns
        -------
        The iterator, which is an asynchronous context manager too.

        Examples
        --------
        >>> async with image.updates() as updates:
        ...     await image.create_snap("tuesday")
        ...     async for _ in updates:
        ...         print([snapshot["name"] for snapshot in await image.list_snaps()])
        ...         break
        ['monday', 'tuesday']
        """
        made = Updates(self.on_update)
        self._updates.add(made)
        return made

    async def discard(self, offset: int, length: int) -> int:
        """Free the space of a region, which reads as zeroes afterwards.

        Parameters
        ----------
        offset
            Where the region begins, in bytes.
        length
            The number of bytes.

        Returns
        -------
        The number of bytes discarded.

        Raises
        ------
        ReadOnlyImage
            The image is open read-only, or at a snapshot.

        Implements: rbd_aio_discard
        """
        return await self._calls.discard(offset, length)

    async def write_zeroes(self, offset: int, length: int, zero_flags: int = 0) -> int:
        """Write zeroes to a region.

        Parameters
        ----------
        offset
            Where the region begins, in bytes.
        length
            The number of bytes.
        zero_flags
            `RBD_WRITE_ZEROES_FLAG_*`.

        Returns
        -------
        `length`.

        Raises
        ------
        ReadOnlyImage
            The image is open read-only, or at a snapshot.

        Implements: rbd_aio_write_zeroes
        """
        return await self._calls.write_zeroes(offset, length, zero_flags)

    async def write_same(
        self, data: AnyBuffer, offset: int, length: int, *, fadvise_flags: int = 0
    ) -> int:
        """Repeat data over a region.

        Parameters
        ----------
        data
            The data: any C-contiguous buffer.
        offset
            Where the region begins, in bytes.
        length
            The number of bytes of the region, a multiple of the size of `data`.
        fadvise_flags
            Hints, `LIBRADOS_OP_FLAG_FADVISE_*`.

        Returns
        -------
        `length`.

        Raises
        ------
        InvalidArgument
            `length` is not a multiple of the size of `data`.

        Implements: rbd_aio_writesame
        """
        return await self._calls.write_same(data, offset, length, fadvise_flags)

    async def compare_and_write(
        self, compare: AnyBuffer, data: AnyBuffer, offset: int, *, fadvise_flags: int = 0
    ) -> int:
        """Write data if the image holds other data there, in one atomic step.

        Parameters
        ----------
        compare
            The data that the image has to hold, of the same size as `data`.
        data
            The data to write.
        offset
            Where to compare and write, in bytes.
        fadvise_flags
            Hints, `LIBRADOS_OP_FLAG_FADVISE_*`.

        Returns
        -------
        The number of bytes written.

        Raises
        ------
        CompareMismatch
            The image holds something else, first at the exception's `offset`. Nothing was written.

        Implements: rbd_aio_compare_and_write
        """
        return await self._calls.compare_and_write(compare, data, offset, fadvise_flags)

    async def flush(self) -> None:
        """Wait until every write that has returned is safe in the cluster.

        Examples
        --------
        >>> await image.flush()

        Implements: rbd_aio_flush
        """
        await self._calls.flush()

    async def close(self) -> None:
        """Close the image, once the calls in flight have completed. Closing twice does nothing.

        Raises
        ------
        rbd.Error
            Data that was written cannot be saved. The image is closed all the same.

        Notes
        -----
        Later calls raise `InvalidArgument`. If the task is cancelled, the close goes on.

        Implements: rbd_aio_close
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
    """Open an image without blocking the loop. Await the result, or use it in `async with`.

    Parameters
    ----------
    ioctx
        The pool, with its namespace: an `AsyncIoctx`, or any other I/O context.
    name
        The name of the image.
    snapshot
        The name of a snapshot to open the image at; None means the head.
    read_only
        Open the image only for reading.
    image_id
        The id of the image, in place of `name`.

    Returns
    -------
    An awaitable of `AsyncImage`, and an asynchronous context manager, which closes it.

    Raises
    ------
    ImageNotFound
        There is no such image or snapshot.
    InvalidArgument
        There is both a `name` and an `image_id`, or neither.

    Notes
    -----
    If the task is cancelled, the image is closed once librbd has opened it.

    Examples
    --------
    >>> async with rbd.aio.open(ioctx, "disk1") as disk:
    ...     await disk.size()
    67108864

    Implements: rbd_aio_open, rbd_aio_open_read_only, rbd_aio_open_by_id,
    rbd_aio_open_by_id_read_only
    """

    async def start() -> AsyncImage:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Image] = loop.create_future()
        queue_of(loop).open(future, unwrap(ioctx), name, snapshot, read_only, image_id)
        return AsyncImage(await future)

    return Opening(start)
