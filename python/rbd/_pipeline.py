"""An image's data at queue depth: extents read ahead into a ring of memory, or written from it."""

from __future__ import annotations

import mmap
from types import TracebackType
from typing import Generator, Iterable, Iterator, List, Optional, Tuple, Type

from . import exceptions
from ._core import Image, _ReadPipeline, _WritePipeline

# What one operation moves at most, in bytes.
PIECE = 2 << 20
# Memory for the operations under way, in bytes: this bounds a transfer, whatever the image's size.
# More of it is no quicker, and librbd takes as much again for its own buffers.
MEMORY = 16 << 20
QUEUE_DEPTH = 32
# The same for writes, of whose data librbd makes a copy.
WRITE_MEMORY = 10 << 20
# Extents of an object with no more than so many bytes between them are read by one operation.
GAP = 16 << 10
# How long one wait may keep a signal from being seen, in milliseconds.
_WAIT = 50


def check_queue_depth(queue_depth: int) -> int:
    """The queue depth as it was given. Raises TypeError, ValueError."""
    if not isinstance(queue_depth, int) or isinstance(queue_depth, bool):
        raise TypeError(f"queue_depth must be int, not {type(queue_depth).__name__}")
    if queue_depth < 1:
        raise ValueError(f"queue_depth must be 1 or more, not {queue_depth}")
    return queue_depth


def _new_ring(size: int) -> memoryview:
    # The system's pages: those that nothing is put into take no memory, nor time.
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def shrunk(image: Image, wanted: int, end: int) -> exceptions.StreamError:
    """The error for an image that ended at byte `wanted` or later, and now ends at `end`."""
    return exceptions.StreamError(
        f"{image} shrank while it was read: it ends at byte {end}, before byte {wanted}", end
    )


class Chunk:
    """A part of an extent: `view` is its data until the next chunk is asked for; None is zeroes."""

    __slots__ = ("length", "offset", "view")

    def __init__(self, offset: int, length: int, view: Optional[memoryview]) -> None:
        self.offset = offset
        self.length = length
        self.view = view


def read_batches(
    image: Image, extents: Iterable[Tuple[int, int, bool]], queue_depth: int, grain: int = 0
) -> Iterator[List[Chunk]]:
    """The data of (offset, length, exists) extents, in their order, in chunks of at most PIECE
    bytes.

    What does not exist, or is all zeroes, is a chunk without data; with `grain`, runs of zeroes of
    that size are chunks of their own. Chunks come in lists; a list's data are there until the next
    is asked for.
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
    """As read_batches(), one chunk after the other."""
    for batch in read_batches(image, extents, queue_depth, grain):
        yield from batch


class ImageWriter:
    """Writes extents into an image at queue depth, from a ring of memory; a context manager.

    The order of writes that overlap is that in which they were given. Runs of `sparse_size` zero
    bytes are not written: they are made zero, so that they take no space, or left out where nothing
    has been written yet to a `fresh` image, which is zero anyhow.
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
        """Memory of `length` bytes, at most PIECE, for the next write()."""
        while True:
            start = self._pipeline.reserve(length, _WAIT)
            if start >= 0:
                return self._ring[start : start + length]

    def write(self, offset: int, length: int) -> None:
        """Writes the first `length` bytes of what space() gave last, without its runs of zeroes."""
        if self._pipeline.overlaps(offset):
            self.drain()
        self._pipeline.write(offset, length)

    def zero(self, offset: int, length: int) -> None:
        """Makes an extent read as zeroes."""
        if self._pipeline.overlaps(offset):
            self.drain()
        while not self._pipeline.zero(offset, length, _WAIT):
            pass

    def take(self, view: memoryview, version: int, limit: int) -> int:
        """Writes the whole records of a diff with which a view begins; gives their length.

        It ends before one that needs more than a short while, or overlaps what was given before.
        """
        return self._pipeline.take(view, version, limit, _WAIT)

    def drain(self) -> None:
        """Returns when everything that was given has been written."""
        while not self._pipeline.drain(_WAIT):
            pass
