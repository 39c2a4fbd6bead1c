"""Contexts of pools, and the objects in them, awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterable, Mapping, Optional, Tuple, Union

from .. import _core
from ..rados import ReadOpCtx, WriteOpCtx
from ._queue import queue_of
from ._twins import Closing, Twin, call

if TYPE_CHECKING:
    from time import struct_time

    from ..rados import Ioctx, ReadOp, WriteOp
    from ..types import AnyBuffer, Text

__all__ = ["AsyncIoctx"]

#: How many entries of an omap one call reads; the OSDs give no more by default.
_OMAP_PAGE = 1024


class AsyncIoctx(Closing, Twin):
    """An I/O context whose calls on objects are awaited.

    Calls may overlap as the program likes: each is one coroutine; one that fails harms no other. A
    buffer that is read into or written is held until librados is done with it, even if the task
    that awaited it is cancelled; it must not be changed before that. Offsets and sizes are bytes.
    Errors are those of the methods of `rbd.rados.Ioctx`. Any number of these and of images share
    the one queue of a loop.

    Parameters
    ----------
    ioctx : rbd.rados.Ioctx
        An open context, which is closed with this one; calls in flight then complete.

    Examples
    --------
    >>> objects = rbd.aio.AsyncIoctx(ioctx)
    >>> await asyncio.gather(*(objects.write_full(f"part.{i}", part) for i, part in parts))
    """

    __slots__ = ("_calls",)

    def __init__(self, ioctx: Ioctx) -> None:
        self._calls = _core.rados._ObjectCalls(ioctx, queue_of)
        super().__init__(ioctx)

    @property
    def ioctx(self) -> Ioctx:
        """The context itself, for what needs no awaiting; its calls block the loop."""
        ioctx: Ioctx = self._sync
        return ioctx

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncIoctx of {self._sync!r}>"

    async def close(self) -> None:
        """Close the context; images that were opened with it stay open. Closing twice is no error.

        Implements: rados_ioctx_destroy
        """
        await call(self.ioctx.close, (), {}, {})

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
        if max_return is not None and not 0 <= max_return < 2**64:
            raise OverflowError(f"max_return must be 0 to 2**64 - 1, not {max_return}")
        found: Dict[str, bytes] = {}
        while max_return is None or len(found) < max_return:
            wanted = _OMAP_PAGE if max_return is None else max_return - len(found)
            with ReadOpCtx() as operation:
                entries, _ = self.ioctx.get_omap_vals(
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
            self.ioctx.set_omap(operation, list(entries), list(entries.values()))
            await self.operate_write_op(operation, key)

    async def remove_omap_keys(self, key: Text, keys: Iterable[Text]) -> None:
        """Remove entries of an object's omap.

        Implements: rados_aio_write_op_operate, rados_write_op_omap_rm_keys2
        """
        with WriteOpCtx() as operation:
            self.ioctx.remove_omap_keys(operation, keys)
            await self.operate_write_op(operation, key)
