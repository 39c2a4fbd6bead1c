"""Reads and writes of an image's data with many operations in flight, over a ring of memory."""

from __future__ import annotations

import mmap
from types import TracebackType

from . import exceptions
from ._core import Image, _ReadPipeline, _WritePipeline

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generator, Iterable, Iterator, List, Optional, Tuple, Type

# The most bytes that one operation moves.
PIECE = 2 << 20
# A piece that stays in a processor's cache until it has been searched for data.
CACHED_PIECE = 256 << 10
# The memory for operations in flight, in bytes. It bounds a transfer, for any size of the image.
# More memory is not faster, and librbd needs as much again for its own buffers.
MEMORY = 10 << 20
# The same for writes. librbd copies their data.
WRITE_MEMORY = 10 << 20
# Small writes to a few objects wait for the object map of each; more of them reach more objects.
QUEUE_DEPTH = 128
# One operation reads extents of an object that have at most this many bytes between them.
GAP = 16 << 10
# The longest time that one wait delays a signal, in milliseconds.
_WAIT = 50


def check_queue_depth(queue_depth: int) -> int:
    """Return the queue depth. Raises TypeError, ValueError."""
    if not isinstance(queue_depth, int) or isinstance(queue_depth, bool):
        raise TypeError(f"queue_depth must be int, not {type(queue_depth).__name__}")
    if queue_depth < 1:
        raise ValueError(f"queue_depth must be 1 or more, not {queue_depth}")
    return queue_depth


def _new_ring(size: int) -> memoryview:
    # Pages of the system: a page that is never written takes neither memory nor time.
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def shrunk(image: Image, wanted: int, end: int) -> exceptions.StreamError:
    """Return the error for an image that ended at byte `wanted` or later, and now ends at `end`."""
    return exceptions.StreamError(
        f"{image} shrank while it was read: it ends at byte {end}, before byte {wanted}", end
    )


class Chunk:
    """A part of an extent. `view` is its data until the next chunk is read; None means zeroes."""

    __slots__ = ("length", "offset", "view")

    def __init__(self, offset: int, length: int, view: Optional[memoryview]) -> None:
        self.offset = offset
        self.length = length
        self.view = view


def read_batches(
    image: Image, extents: Iterable[Tuple[int, int, bool]], queue_depth: int, grain: int = 0
) -> Iterator[List[Chunk]]:
    """Read (offset, length, exists) extents, in their order, in chunks of at most PIECE bytes.

    An extent that does not exist, or is all zeroes, is a chunk without data. With `grain`, each run
    of zeroes of at least that size is a separate chunk. Chunks come in lists. The data of a list
    are valid until the next list is read.
    """
    ring = _new_ring(MEMORY)
    reader = _ReadPipeline(image, ring, queue_depth, PIECE, grain, GAP)
    source = iter(extents)
    pending: Optional[Tuple[int, int, bool]] = next(source, None)
    try:
        while True:
            while pending is not None and reader.push(*pending):
                pending = next(source, None)
            found = reader.pop(_WAIT)
            if not found:
                if pending is None and reader.idle():
                    return
                continue
            for offset, length, _, done in found:
                if done < length:
                    raise shrunk(image, offset + length, offset + done)
            yield [
                Chunk(offset, length, None if start < 0 else ring[start : start + length])
                for offset, length, start, _ in found
            ]
    finally:
        reader.close()


def read_chunks(
    image: Image, extents: Iterable[Tuple[int, int, bool]], queue_depth: int, grain: int = 0
) -> Generator[Chunk, None, None]:
    """As read_batches(), chunk by chunk."""
    for batch in read_batches(image, extents, queue_depth, grain):
        yield from batch


class ImageWriter:
    """Write extents into an image with many writes in flight; a context manager.

    Overlapping writes happen in the order in which they are passed. Runs of `sparse_size` zero
    bytes are not written, but made zero, so that they take no space. They are left out if the image
    is `fresh` and nothing has been written there, because it reads as zeroes then.
    """

    def __init__(
        self, image: Image, queue_depth: int, sparse_size: int, *, fresh: bool = False
    ) -> None:
        self._ring = _new_ring(WRITE_MEMORY)
        self._pipeline = _WritePipeline(image, self._ring, queue_depth, sparse_size, fresh)

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            if error is None:
                self.drain()
        finally:
            self._pipeline.close()

    def space(self, length: int) -> memoryview:
        """Return memory of `length` bytes, at most PIECE, for the next write()."""
        while True:
            start = self._pipeline.reserve(length, _WAIT)
            if start >= 0:
                return self._ring[start : start + length]

    def write(self, offset: int, length: int) -> bool:
        """Write the first `length` bytes of the last space(), without runs of zeroes.

        Return whether anything is left to write.
        """
        found = self._pipeline.write(offset, length)
        if found < 0:
            self.drain()
            found = self._pipeline.write(offset, length)
        return found > 0

    def zero(self, offset: int, length: int) -> None:
        """Make an extent read as zeroes."""
        if self._pipeline.overlaps(offset):
            self.drain()
        while not self._pipeline.zero(offset, length, _WAIT):
            pass

    def take(self, view: memoryview, version: int, limit: int) -> int:
        """Write the whole records at the beginning of a view. Return their length.

        It stops before a record that would need a longer wait, or that overlaps earlier writes.
        """
        return self._pipeline.take(view, version, limit, _WAIT)

    def drain(self) -> None:
        """Wait until everything has been written."""
        while not self._pipeline.drain(_WAIT):
            pass
