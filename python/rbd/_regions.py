"""The bytes of an image that an index of an array selects, and how to read and write them."""

from __future__ import annotations

import errno
import math
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from . import exceptions
from ._core import Image
from ._pipeline import PIECE, QUEUE_DEPTH, ImageWriter, read_batches

Array = np.ndarray[Any, Any]

# A gap of at most this many bytes between two regions is read too, because another read costs more.
_GAP_BYTES = 16 << 10
# A region that is read with its gaps needs separate memory, so it has at most this many bytes.
_SPAN_BYTES = 16 << 20
# The memory for regions that are read with their gaps at once, in bytes.
_MEMORY_BYTES = 64 << 20
# A cluster of blocks does not cross a multiple of this, which is the size of most objects.
_CLUSTER_BYTES = 4 << 20
# A larger block is not joined with others.
_SMALL_BYTES = 1 << 20
# The most blocks of one batch.
_BATCH = 1 << 20
# Blocks of this many bytes are not read or written in parallel: librbd divides a single one as
# well.
_LONG_BYTES = 256 << 20


class Axis(NamedTuple):
    """Places in the image: `places` of them, `stride` bytes apart, or the bytes in `points`."""

    places: int
    stride: int
    points: Optional[Array] = None


class _Plan(NamedTuple):
    """Blocks of `span` bytes at each place of the first `outer` axes; `exact` ones have no gaps."""

    outer: int
    span: int
    exact: bool
    # An axis, and how many of its places to process at a time, because of the memory.
    split: Optional[Tuple[int, int]]


class Region:
    """Elements of `itemsize` bytes, at `offset` plus each combination of the axes' places."""

    def __init__(self, offset: int, itemsize: int, axes: List[Axis]) -> None:
        self._offset = offset
        self._itemsize = itemsize
        self._axes = axes
        self.shape: Tuple[int, ...] = tuple(axis.places for axis in axes)

    def _plan(self, gap_bytes: int) -> _Plan:
        span, exact = self._itemsize, True
        outer = len(self._axes)
        while outer > 0:
            axis = self._axes[outer - 1]
            if axis.points is not None:
                break
            if axis.places > 1:
                if exact and axis.stride == span:
                    span *= axis.places
                elif axis.stride - span <= gap_bytes:
                    whole = (axis.places - 1) * axis.stride + span
                    if whole > _SPAN_BYTES:
                        part = max(_SPAN_BYTES // axis.stride, 1)
                        return _Plan(outer, span, exact, (outer - 1, part))
                    span, exact = whole, False
                else:
                    break
            outer -= 1
        return _Plan(outer, span, exact, None)

    def _parts(self, axis: int, part: int) -> Iterator[Tuple[Tuple[slice, ...], Region]]:
        """Divide the region into parts of `part` places of an axis, with their places in it."""
        count, stride, points = self._axes[axis]
        for first in range(0, count, part):
            length = min(part, count - first)
            chosen = None if points is None else points[first : first + length]
            axes = list(self._axes)
            axes[axis] = Axis(length, stride, chosen)
            place = (slice(None),) * axis + (slice(first, first + length),)
            yield place, Region(self._offset + first * stride, self._itemsize, axes)

    def _divided(self, number: int) -> Iterator[Tuple[Tuple[slice, ...], Region]]:
        """Divide the region into about `number` parts along its longest axis."""
        longest = self.shape.index(max(self.shape))
        return self._parts(longest, max(self.shape[longest] // number, 1))

    def _offsets(self, outer: int) -> Array:
        """Return the offsets of the blocks, in the order of the result."""
        offsets = np.full(1, self._offset, np.int64)
        for places, stride, points in self._axes[:outer]:
            if points is None:
                points = np.arange(places, dtype=np.int64) * stride
            offsets = (offsets[:, None] + points).reshape(-1)
        return offsets

    def _blocks(self, outer: int) -> int:
        return math.prod(self.shape[:outer])

    def read(self, image: Image, result: Array) -> None:
        """Read the region into an array of its shape."""
        plan = self._plan(_GAP_BYTES)
        parts = None
        if plan.split is not None:
            parts = self._parts(*plan.split)
        elif self._blocks(plan.outer) > _BATCH:
            parts = self._divided(-(-self._blocks(plan.outer) // _BATCH))
        elif not plan.exact and self._blocks(plan.outer) * plan.span > _MEMORY_BYTES:
            parts = self._divided(-(-self._blocks(plan.outer) * plan.span // _MEMORY_BYTES))
        if parts is not None:
            for place, region in parts:
                region.read(image, result[place])
            return
        offsets = self._offsets(plan.outer)
        if not plan.exact:
            wanted = self._read_spans(image, plan, offsets).view(result.dtype)
            result[...] = wanted.reshape(result.shape)
        elif result.flags.c_contiguous:
            _read_blocks(image, offsets, plan.span, result)
        else:
            whole = np.empty(result.shape, result.dtype)
            _read_blocks(image, offsets, plan.span, whole)
            result[...] = whole

    def _read_spans(self, image: Image, plan: _Plan, offsets: Array) -> Array:
        """Read the blocks with their gaps. Return the wanted bytes."""
        memory = np.empty((len(offsets), plan.span), np.uint8)
        _read_blocks(image, offsets, plan.span, memory)
        inner = self._axes[plan.outer :]
        shape = (len(offsets), *(axis.places for axis in inner), self._itemsize)
        strides = (plan.span, *(axis.stride for axis in inner), 1)
        wanted = np.lib.stride_tricks.as_strided(memory, shape, strides, writeable=False)
        return np.ascontiguousarray(wanted).reshape(-1)

    def write(self, image: Image, value: Array, most: int, merge: bool) -> None:
        """Write an array of the region's shape.

        Copies `most` bytes at a time. Only with `merge`, the bytes between elements are written
        too, with their old values.
        """
        plan = self._plan(-1)
        blocks = self._blocks(plan.outer)
        parts = 1
        if value.nbytes > most and not value.flags.c_contiguous:
            parts = -(-value.nbytes // most)
        parts = max(parts, -(-blocks // _BATCH))
        if parts > 1 and max(self.shape) > 1:
            for place, region in self._divided(parts):
                region.write(image, value[place], most, merge)
            return
        for at, axis in enumerate(self._axes):
            if axis.points is None:
                continue
            last = np.unique(axis.points[::-1], return_index=True)[1]
            if len(last) < axis.places:
                # The last of the values for one place counts. The blocks of one call have no order.
                chosen = np.sort(axis.places - 1 - last)
                axes = list(self._axes)
                axes[at] = Axis(len(chosen), 0, axis.points[chosen])
                region = Region(self._offset, self._itemsize, axes)
                region.write(image, value[(slice(None),) * at + (chosen,)], most, merge)
                return
        value = np.ascontiguousarray(value)
        _write_blocks(image, self._offsets(plan.outer), plan.span, value, merge)


class _Clusters:
    """Blocks of `span` bytes. Blocks that are near each other form one region of the image."""

    def __init__(self, offsets: Array, span: int, gap: int, most: int) -> None:
        self.order: Optional[Array] = None
        if np.any(offsets[1:] < offsets[:-1]):
            self.order = np.argsort(offsets, kind="stable")
            offsets = offsets[self.order]
        self.offsets = offsets
        self._span = span
        steps = np.diff(offsets)
        apart = (steps > span + gap) | (np.diff(offsets // most) != 0)
        # Whether each cluster is a row of blocks without gaps, in the order of the result.
        self.exact = self.order is None and bool(np.all(apart | (steps == span)))
        self._first = np.concatenate(([0], np.flatnonzero(apart) + 1, [len(offsets)]))
        self.starts = offsets[self._first[:-1]]
        self.lengths = offsets[self._first[1:] - 1] + span - self.starts

    def __len__(self) -> int:
        return len(self.starts)

    def worthwhile(self) -> bool:
        """Return whether joining the blocks saves enough operations."""
        return self._span <= _SMALL_BYTES and 2 * len(self) <= len(self.offsets)

    def groups(self) -> Iterator[Tuple[slice, Array, Array, Array]]:
        """Divide the clusters into groups of about _MEMORY_BYTES.

        Returns for each group: the slice of its clusters; the beginning of each cluster in the
        group's memory, and the end of the last; the blocks' places in the result; and the beginning
        of each block in the memory.
        """
        first = 0
        ends = np.cumsum(self.lengths)
        while first < len(self):
            before = ends[first] - self.lengths[first]
            last = max(int(np.searchsorted(ends, before + _MEMORY_BYTES, "right")), first + 1)
            group = slice(first, last)
            edges = np.concatenate(([0], ends[group] - before))
            blocks = slice(self._first[first], self._first[last])
            counts = np.diff(self._first[first : last + 1])
            begin = self.offsets[blocks] + np.repeat(edges[:-1] - self.starts[group], counts)
            order = self.order
            places = np.arange(blocks.start, blocks.stop) if order is None else order[blocks]
            yield group, edges, places, begin
            first = last


def _windows(memory: Array, span: int) -> Array:
    """Return a view of the `span` bytes from each byte of the memory on."""
    kind = np.dtype((np.void, span))
    first = memory[:span].view(kind)
    return np.lib.stride_tricks.as_strided(first, (len(memory) - span + 1,), (1,))


def _read_blocks(image: Image, offsets: Array, span: int, out: Array) -> None:
    """Read blocks of `span` bytes into a contiguous array, without gaps."""
    memory = out.reshape(-1).view(np.uint8)
    if len(offsets) == 1 or span >= _LONG_BYTES:
        for at, offset in enumerate(offsets):
            _read_all(image, memory[at * span : (at + 1) * span], int(offset))
        return
    clusters = _Clusters(offsets, span, _GAP_BYTES, _CLUSTER_BYTES)
    if not clusters.worthwhile():
        # All blocks go directly into the result.
        image.read_blocks(offsets, span, memory)
        return
    if clusters.exact:
        _read_stretches(image, clusters.starts, clusters.lengths, memory)
        return
    blocks = memory.view(np.dtype((np.void, span)))
    for group, edges, places, begin in clusters.groups():
        stretches = np.empty(edges[-1], np.uint8)
        _read_stretches(image, clusters.starts[group], clusters.lengths[group], stretches)
        blocks[places] = _windows(stretches, span)[begin]


def _read_stretches(image: Image, starts: Array, lengths: Array, memory: Array) -> None:
    """Read regions of the image into memory, without gaps."""
    extents = ((int(start), int(length), True) for start, length in zip(starts, lengths))
    position = 0
    for batch in read_batches(image, extents, QUEUE_DEPTH):
        for chunk in batch:
            part = memory[position : position + chunk.length]
            part[...] = 0 if chunk.view is None else np.frombuffer(chunk.view, np.uint8)
            position += chunk.length


def _read_all(image: Image, memory: Array, offset: int) -> None:
    done = image.readinto(memory, offset)
    if done != len(memory):
        raise exceptions.InvalidArgument(
            f"{image} ends at byte {offset + done}, within the array", errno=errno.EINVAL
        )


def _write_blocks(image: Image, offsets: Array, span: int, value: Array, merge: bool) -> None:
    """Write blocks of `span` bytes from a contiguous array. No two blocks overlap.

    With `merge`, blocks near each other in an object are read, changed and written together with
    the bytes between them.
    """
    memory = value.reshape(-1).view(np.uint8)
    if len(offsets) == 1 or span >= _LONG_BYTES:
        for at, offset in enumerate(offsets):
            image.write(memory[at * span : (at + 1) * span], int(offset))
        return
    # Reading and writing the bytes between two blocks costs less than another write.
    gap, most = (_GAP_BYTES, image.stripe_unit()) if merge else (0, _CLUSTER_BYTES)
    clusters = _Clusters(offsets, span, gap, most)
    if not clusters.worthwhile():
        image.write_blocks(memory, offsets)
        return
    blocks = memory.view(np.dtype((np.void, span)))
    with ImageWriter(image, QUEUE_DEPTH, 0) as writer:
        for group, edges, places, begin in clusters.groups():
            stretches = np.empty(edges[-1], np.uint8)
            if len(stretches) > len(places) * span:
                starts, lengths = clusters.starts[group], clusters.lengths[group]
                _read_stretches(image, starts, lengths, stretches)
            _windows(stretches, span)[begin] = blocks[places]
            for start, first, last in zip(clusters.starts[group], edges, edges[1:]):
                _write_stretch(writer, int(start), stretches[first:last])


def _write_stretch(writer: ImageWriter, offset: int, data: Array) -> None:
    for at in range(0, len(data), PIECE):
        part = data[at : at + PIECE]
        np.frombuffer(writer.space(len(part)), np.uint8)[...] = part
        writer.write(offset + at, len(part))
