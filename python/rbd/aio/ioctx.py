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

#: The number of omap entries that one call reads. The OSDs return at most this many by default.
_OMAP_PAGE = 1024


class AsyncIoctx(Closing, Twin):
    """An I/O context whose calls on objects are awaited.

    Calls may overlap. One that fails does not affect another. The buffer of a call is held until
    the call has completed, even if its task is cancelled; it must not change before that. Offsets
    and sizes are bytes. The exceptions are those of the methods of `rbd.rados.Ioctx`. All contexts
    and images share one queue for each loop.

    Parameters
    ----------
    ioctx
        An open context. It is closed with this one, once the calls in flight have completed.

    Examples
    --------
    >>> parts = [b"one", b"two"]
    >>> await asyncio.gather(
    ...     *(ioctx.write_full(f"part.{i}", part) for i, part in enumerate(parts))
    ... )
    [3, 3]
    """

    __slots__ = ("_calls",)

    def __init__(self, ioctx: Ioctx) -> None:
        self._calls = _core.rados._ObjectCalls(ioctx, queue_of)
        super().__init__(ioctx)

    @property
    def ioctx(self) -> Ioctx:
        """The context itself, for calls that return at once. Its other calls block the loop."""
        ioctx: Ioctx = self._sync
        return ioctx

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncIoctx of {self._sync!r}>"

    async def close(self) -> None:
        """Close the context. Images that were opened with it stay open. Closing twice does nothing.

        Implements: rados_ioctx_destroy
        """
        await call(self.ioctx.close, (), {}, {})

    async def read(self, key: Text, length: int = 8192, offset: int = 0) -> bytes:
        """Read from an object.

        Parameters
        ----------
        key
            The name of the object.
        length
            The number of bytes to read at most.
        offset
            Where to begin, in bytes.

        Returns
        -------
        The data, shorter than `length` only at the end of the object.

        Raises
        ------
        ObjectNotFound
            There is no such object.

        Examples
        --------
        >>> await ioctx.read("greeting")
        b'hello'

        Implements: rados_aio_read
        """
        data: bytes = await self._calls.read(key, length, offset)
        return data

    async def readinto(self, key: Text, buffer: AnyBuffer, offset: int = 0) -> int:
        """Read from an object into a writable buffer.

        Parameters
        ----------
        key
            The name of the object.
        buffer
            The buffer. Its size is the number of bytes to read at most.
        offset
            Where to begin, in bytes.

        Returns
        -------
        The number of bytes read, fewer than the buffer has only at the end of the object.

        Raises
        ------
        ObjectNotFound
            There is no such object.

        Implements: rados_aio_read
        """
        count: int = await self._calls.readinto(key, buffer, offset)
        return count

    async def write(self, key: Text, data: AnyBuffer, offset: int = 0) -> int:
        """Write to an object, and create the object if it does not exist.

        Parameters
        ----------
        key
            The name of the object.
        data
            The data: any C-contiguous buffer.
        offset
            Where to write, in bytes.

        Returns
        -------
        The number of bytes written.

        Implements: rados_aio_write
        """
        count: int = await self._calls.write(key, data, offset)
        return count

    async def write_full(self, key: Text, data: AnyBuffer) -> int:
        """Replace the whole data of an object, and create the object if it does not exist.

        Parameters
        ----------
        key
            The name of the object.
        data
            The data: any C-contiguous buffer.

        Returns
        -------
        The number of bytes written.

        Examples
        --------
        >>> await ioctx.write_full("greeting", b"hello, world")
        12

        Implements: rados_aio_write_full
        """
        count: int = await self._calls.write_full(key, data)
        return count

    async def append(self, key: Text, data: AnyBuffer) -> int:
        """Write at the end of an object, and create the object if it does not exist.

        Parameters
        ----------
        key
            The name of the object.
        data
            The data: any C-contiguous buffer.

        Returns
        -------
        The number of bytes written.

        Implements: rados_aio_append
        """
        count: int = await self._calls.append(key, data)
        return count

    async def remove(self, key: Text) -> None:
        """Remove an object.

        Parameters
        ----------
        key
            The name of the object.

        Raises
        ------
        ObjectNotFound
            There is no such object.

        Implements: rados_aio_remove
        """
        await self._calls.remove(key)

    async def stat(self, key: Text) -> Tuple[int, struct_time]:
        """Return the size and the time of an object.

        Parameters
        ----------
        key
            The name of the object.

        Returns
        -------
        A tuple: the size in bytes, and the time of the last change as `time.localtime` returns it.

        Raises
        ------
        ObjectNotFound
            There is no such object.

        Implements: rados_aio_stat
        """
        status: Tuple[int, struct_time] = await self._calls.stat(key)
        return status

    async def operate_write_op(
        self, write_op: WriteOp, oid: Text, mtime: int = 0, flags: int = 0
    ) -> None:
        """Perform an operation on an object: all of its parts, or none.

        Parameters
        ----------
        write_op
            The operation.
        oid
            The name of the object.
        mtime
            The time that the object gets, in seconds since 1970; 0 means now.
        flags
            `LIBRADOS_OPERATION_*`.

        Raises
        ------
        ExtendMismatch
            A `cmpext` of the operation found other data, first at the exception's `offset`.
        ObjectNotFound
            There is no such object, and a part of the operation needs it.

        Implements: rados_aio_write_op_operate
        """
        await self._calls.operate_write(write_op, oid, mtime, flags)

    async def operate_read_op(self, read_op: ReadOp, oid: Text, flag: int = 0) -> None:
        """Perform an operation that reads from an object.

        Parameters
        ----------
        read_op
            The operation. Its iterators can be read afterwards.
        oid
            The name of the object.
        flag
            `LIBRADOS_OPERATION_*`.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        ExtendMismatch
            A `cmpext` of the operation found other data, first at the exception's `offset`.

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
        """Return entries of an object's omap.

        Parameters
        ----------
        key
            The name of the object.
        start_after
            Return only entries whose keys come after this one.
        filter_prefix
            Return only entries whose keys begin so.
        max_return
            The most entries; None means all, which takes several calls if there are many.

        Returns
        -------
        A dict of keys and values, in the order of the keys.

        Raises
        ------
        ObjectNotFound
            There is no such object.

        Examples
        --------
        >>> await ioctx.set_omap("greeting", {"colour": b"red"})
        >>> await ioctx.get_omap("greeting")
        {'colour': b'red'}

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
        """Set entries of an object's omap, and create the object if it does not exist.

        Parameters
        ----------
        key
            The name of the object.
        entries
            Keys and values; a value is a str or a buffer.

        Implements: rados_aio_write_op_operate, rados_write_op_omap_set2
        """
        with WriteOpCtx() as operation:
            self.ioctx.set_omap(operation, list(entries), list(entries.values()))
            await self.operate_write_op(operation, key)

    async def remove_omap_keys(self, key: Text, keys: Iterable[Text]) -> None:
        """Remove entries of an object's omap.

        Parameters
        ----------
        key
            The name of the object.
        keys
            The keys. Those that do not exist are ignored.

        Implements: rados_aio_write_op_operate, rados_write_op_omap_rm_keys2
        """
        with WriteOpCtx() as operation:
            self.ioctx.remove_omap_keys(operation, keys)
            await self.operate_write_op(operation, key)
