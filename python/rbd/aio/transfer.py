"""The transfers of `rbd.transfer`, awaitable, from and to asynchronous streams too.

    await rbd.aio.transfer.import_image(request.stream(), ioctx, "vm1")
    await rbd.aio.transfer.export_image(image, writer)
    async for data in rbd.aio.transfer.stream_image(image):
        ...

Functions, parameters and errors are those of `rbd.transfer`. A function that takes a file to read
also takes an `asyncio.StreamReader` or any asynchronous iterable of bytes. A function that takes a
file to write also takes an `asyncio.StreamWriter`. Only one piece at a time is between the loop and
the transfer, so the memory is bounded, even if one of them is fast and the other slow.
"""

from __future__ import annotations

import asyncio
import inspect
import io
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Optional, Union

from .. import _pipeline
from .. import transfer as _sync
from ._twins import function
from ._workers import Call
from .image import AsyncImage

if TYPE_CHECKING:
    from ..transfer.progress import ProgressFunction

# The most pieces of a stream that wait for their reader. A piece has up to 2 MiB.
_PIECES = 4

__all__ = [*_sync.__all__, "stream_diff", "stream_image"]


class _Reader(io.RawIOBase):
    """An asynchronous stream as a file, for the thread of a call."""

    def __init__(self, call: Call, stream: Any) -> None:
        self._left = memoryview(b"")
        self._ended = False
        if inspect.iscoroutinefunction(getattr(stream, "read", None)):
            # Reads no more than requested: what follows the transfer's stream stays in the source.
            self._next = call.in_loop(stream.read)
            self._takes_length = True
        else:
            self._next = call.in_loop(stream.__aiter__().__anext__)
            self._takes_length = False

    def readable(self) -> bool:
        return True

    def readinto(self, space: Any) -> int:
        with memoryview(space) as whole, whole.cast("B") as view:
            if not self._left and not self._ended:
                self._left = memoryview(self._fetch(len(view))).cast("B")
            count = min(len(view), len(self._left))
            view[:count] = self._left[:count]
            self._left = self._left[count:]
            return count

    def _fetch(self, length: int) -> Any:
        while True:
            try:
                data = (
                    self._next(min(length, _pipeline.PIECE)) if self._takes_length else self._next()
                )
            except StopAsyncIteration:
                data = b""
                self._ended = True
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"the source returned {type(data).__name__}, not bytes")
            # An empty item does not end an iterable.
            if len(data) or self._ended or self._takes_length:
                return data


class _Writer(io.RawIOBase):
    """An asyncio.StreamWriter as a file, for the thread of a call."""

    def __init__(self, call: Call, stream: Any) -> None:
        self._write = call.in_loop(lambda data: _written(stream, data))

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._write(data)
        return len(data)


async def _written(stream: Any, data: bytes) -> None:
    stream.write(data)
    await stream.drain()


def _adapt(call: Call, value: Any) -> Any:
    if callable(getattr(value, "write", None)) and inspect.iscoroutinefunction(
        getattr(value, "drain", None)
    ):
        return _Writer(call, value)
    if inspect.iscoroutinefunction(getattr(value, "read", None)) or hasattr(value, "__aiter__"):
        return _Reader(call, value)
    return value


for _name in _sync.__all__:
    if inspect.isfunction(_source := getattr(_sync, _name)):
        globals()[_name] = function(_source, __name__, _adapt)
    else:
        globals()[_name] = _source


class _Pieces:
    """The pieces that a transfer writes, in order."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Union[bytes, BaseException, None]] = asyncio.Queue(_PIECES)
        self.write: Callable[[bytes], int]


def _as_pieces(pieces: _Pieces) -> Callable[[Call, Any], Any]:
    def adapt(call: Call, value: Any) -> Any:
        if value is not pieces:
            return value
        put = call.in_loop(pieces.waiting.put)

        def write(data: bytes) -> int:
            put(data)
            return len(data)

        pieces.write = write
        return pieces

    return adapt


async def _stream(source: Callable[..., Any], *args: Any, **options: Any) -> AsyncIterator[bytes]:
    pieces = _Pieces()
    transfer = function(source, __name__, _as_pieces(pieces))

    async def produce() -> None:
        end: Optional[BaseException] = None
        try:
            await transfer(args[0], pieces, *args[1:], **options)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            end = error
        await pieces.waiting.put(end)

    task = asyncio.ensure_future(produce())
    try:
        while True:
            piece = await pieces.waiting.get()
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        task.cancel()
        await asyncio.wait([task])


def stream_image(
    image: AsyncImage,
    *,
    export_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> AsyncIterator[bytes]:
    """Return what export_image would write, as an asynchronous iterator of bytes.

    A few pieces of at most 2 MiB are read ahead. Close the iterator (`contextlib.aclosing`) if you
    do not exhaust it. Parameters and errors are those of export_image.
    """
    return _stream(
        _sync.export_image,
        image,
        export_format=export_format,
        on_progress=on_progress,
        progress=progress,
        queue_depth=queue_depth,
    )


def stream_diff(
    image: AsyncImage,
    from_snapshot: Optional[str] = None,
    *,
    whole_object: bool = False,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> AsyncIterator[bytes]:
    """Return what export_diff would write, as an asynchronous iterator of bytes.

    As stream_image. Parameters and errors are those of export_diff.
    """
    return _stream(
        _sync.export_diff,
        image,
        from_snapshot,
        whole_object=whole_object,
        on_progress=on_progress,
        progress=progress,
        queue_depth=queue_depth,
    )
