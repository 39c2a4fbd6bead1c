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
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generator,
    Iterable,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from . import _core
from .exceptions import Error
from .rados import ReadOpCtx, WriteOpCtx

if TYPE_CHECKING:
    from time import struct_time
    from types import TracebackType

    from .rados import Ioctx, ReadOp, WriteOp
    from .types import AnyBuffer, AnyIoctx, Text

__all__ = ["AsyncImage", "AsyncIoctx", "open"]

# Weakly both: a loop keeps the queue that it reads until it is closed. Then the queue is gone, and
# what was in flight in it is freed once librbd is done with it.
_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ReferenceType[_core._LoopQueue]
] = weakref.WeakKeyDictionary()
_queues_lock = threading.Lock()

#: How many entries of an omap one call reads; the OSDs give no more by default.
_OMAP_PAGE = 1024


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


class AsyncIoctx:
    """An I/O context whose calls on objects are awaited.

    Calls may overlap as the program likes: each is one coroutine; one that fails harms no other. A
    buffer that is read into or written is held until librados is done with it, even if the task
    that awaited it is cancelled; it must not be changed before that. Offsets and sizes are bytes.
    Errors are those of the methods of `rbd.rados.Ioctx`. Any number of these and of images share
    the one queue of a loop.

    Parameters
    ----------
    ioctx : rbd.rados.Ioctx
        An open context. It stays the caller's, who closes it; calls in flight then complete.

    Examples
    --------
    >>> objects = rbd.aio.AsyncIoctx(ioctx)
    >>> await asyncio.gather(*(objects.write_full(f"part.{i}", part) for i, part in parts))
    """

    __slots__ = ("__weakref__", "_calls", "_ioctx")

    def __init__(self, ioctx: Ioctx) -> None:
        self._calls = _core.rados._ObjectCalls(ioctx, _queue_of)
        self._ioctx = ioctx

    @property
    def ioctx(self) -> Ioctx:
        """The context itself, for what needs no awaiting; its calls block the loop."""
        return self._ioctx

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncIoctx of {self._ioctx!r}>"

    async def read(self, key: Text, length: int = 8192, offset: int = 0) -> bytes:
        """Read up to `length` bytes of an object from `offset`; fewer only at its end.

        Implements: rados_aio_read
        """
        data: bytes = await self._calls.read(key, length, offset)
        return data

    async def readinto(self, key: Text, buffer: AnyBuffer, offset: int = 0) -> int:
        """Read into a writable buffer, as many bytes as it has. Returns how many came.

        Implements: rados_aio_read
        """
        count: int = await self._calls.readinto(key, buffer, offset)
        return count

    async def write(self, key: Text, data: AnyBuffer, offset: int = 0) -> int:
        """Write a buffer to an object, at `offset`. Returns the number of bytes.

        Implements: rados_aio_write
        """
        count: int = await self._calls.write(key, data, offset)
        return count

    async def write_full(self, key: Text, data: AnyBuffer) -> int:
        """Replace an object's whole content by a buffer. Returns the number of bytes.

        Implements: rados_aio_write_full
        """
        count: int = await self._calls.write_full(key, data)
        return count

    async def append(self, key: Text, data: AnyBuffer) -> int:
        """Write a buffer after an object's end. Returns the number of bytes.

        Implements: rados_aio_append
        """
        count: int = await self._calls.append(key, data)
        return count

    async def remove(self, key: Text) -> None:
        """Remove an object. Raises ObjectNotFound.

        Implements: rados_aio_remove
        """
        await self._calls.remove(key)

    async def stat(self, key: Text) -> Tuple[int, struct_time]:
        """Return an object's size in bytes and when it was modified, as time.localtime() does.

        Implements: rados_aio_stat
        """
        status: Tuple[int, struct_time] = await self._calls.stat(key)
        return status

    async def operate_write_op(
        self, write_op: WriteOp, oid: Text, mtime: int = 0, flags: int = 0
    ) -> None:
        """Have all parts of an operation take effect on an object, or none.

        Parameters are those of `rbd.rados.Ioctx.operate_write_op`.

        Implements: rados_aio_write_op_operate
        """
        await self._calls.operate_write(write_op, oid, mtime, flags)

    async def operate_read_op(self, read_op: ReadOp, oid: Text, flag: int = 0) -> None:
        """Read what an operation asks for. Its iterators can be read afterwards.

        Implements: rados_aio_read_op_operate
        """
        await self._calls.operate_read(read_op, oid, flag)

    async def get_omap(
        self,
        key: Text,
        start_after: Text = "",
        filter_prefix: Text = "",
        max_return: Optional[int] = None,
    ) -> Dict[str, bytes]:
        """Return entries of an object's omap, in the order of their keys.

        Parameters
        ----------
        key : str
            The object's name.
        start_after : str
            Only entries whose keys come after this one.
        filter_prefix : str
            Only entries whose keys begin so.
        max_return : int, optional
            How many at most; None for all, which one call after the other then reads.

        Implements: rados_aio_read_op_operate, rados_read_op_omap_get_vals2
        """
        if max_return is not None and max_return < 0:
            raise OverflowError(f"max_return must not be negative, not {max_return}")
        found: Dict[str, bytes] = {}
        while max_return is None or len(found) < max_return:
            wanted = _OMAP_PAGE if max_return is None else max_return - len(found)
            with ReadOpCtx() as operation:
                entries, _ = self._ioctx.get_omap_vals(
                    operation, start_after, filter_prefix, min(wanted, _OMAP_PAGE)
                )
                await self.operate_read_op(operation, key)
                page = dict(entries)
            if not page:
                break
            found.update(page)
            start_after = next(reversed(page))
        return found

    async def set_omap(self, key: Text, entries: Mapping[Text, Union[str, AnyBuffer]]) -> None:
        """Set entries of an object's omap, which makes the object if it is not there.

        Implements: rados_aio_write_op_operate, rados_write_op_omap_set2
        """
        with WriteOpCtx() as operation:
            self._ioctx.set_omap(operation, list(entries), list(entries.values()))
            await self.operate_write_op(operation, key)

    async def remove_omap_keys(self, key: Text, keys: Iterable[Text]) -> None:
        """Remove entries of an object's omap.

        Implements: rados_aio_write_op_operate, rados_write_op_omap_rm_keys2
        """
        with WriteOpCtx() as operation:
            self._ioctx.remove_omap_keys(operation, keys)
            await self.operate_write_op(operation, key)
