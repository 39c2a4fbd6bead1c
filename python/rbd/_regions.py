"""Which bytes of an image a selection from an array is, and how they are read and written."""

from __future__ import annotations

from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from . import exceptions
from ._core import Image
from ._pipeline import QUEUE_DEPTH, read_batches

Array = np.ndarray[Any, Any]

# Bytes between two wanted stretches that are read over, since another read would cost more.
_GAP_BYTES = 16 << 10
# A stretch that is read with its gaps is at most so long, in bytes: it needs memory of its own.
_SPAN_BYTES = 16 << 20
# Blocks of one batch at most.
_BATCH = 1 << 20
# Blocks of so many bytes are not read or written at once: librbd divides a single one as well.
_LONG_BYTES = 256 << 20


class Axis(NamedTuple):
    """Steps through the image: `places` of them, `stride` bytes apart, from byte `start` on."""

    start: int
    places: int
    stride: int


class _Plan(NamedTuple):
    """Blocks of `span` bytes at each place of the first `outer` axes; `exact` ones have no gaps."""

    outer: int
    span: int
    exact: bool
    # An axis that must be gone through in parts of so many places, for the sake of memory.
    split: Optional[Tuple[int, int]]


class Region:
    """Elements of `itemsize` bytes, at offset + a row + a place of each axis, for all of them."""

    def __init__(self, offset: int, itemsize: int, rows: Optional[Array], axes: List[Axis]) -> None:
        self._offset = offset
        self._itemsize = itemsize
        self._rows = rows
        self._axes = axes
        self.shape: Tuple[int, ...] = tuple(axis.places for axis in axes)
        if rows is not None:
            self.shape = (len(rows), *self.shape)

    def _plan(self, gap_bytes: int) -> _Plan:
        span, exact = self._itemsize, True
        outer = len(self._axes)
        while outer > 0:
            axis = self._axes[outer - 1]
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
        """The region in parts of `part` places of an axis, each with its place in the whole."""
        before = axis + (self._rows is not None)
        start, count, stride = self._axes[axis]
        for first in range(0, count, part):
            length = min(part, count - first)
            axes = list(self._axes)
            axes[axis] = Axis(start + first * stride, length, stride)
            place = (slice(None),) * before + (slice(first, first + length),)
            yield place, Region(self._offset, self._itemsize, self._rows, axes)

    def _row_parts(self, part: int) -> Iterator[Tuple[Tuple[slice, ...], Region]]:
        rows = self._rows
        assert rows is not None
        for first in range(0, len(rows), part):
            chosen = rows[first : first + part]
            place = (slice(first, first + len(chosen)),)
            yield place, Region(self._offset, self._itemsize, chosen, self._axes)

    def _halves(self, limit: int) -> Iterator[Tuple[Tuple[slice, ...], Region]]:
        """The region in parts along its longest axis, so that one has about 1/limit of it."""
        counts = list(self.shape)
        longest = counts.index(max(counts))
        part = max(counts[longest] // limit, 1)
        if self._rows is None:
            return self._parts(longest, part)
        return self._row_parts(part) if longest == 0 else self._parts(longest - 1, part)

    def _offsets(self, outer: int) -> Array:
        """Where the blocks begin, in the order of the result."""
        base = self._offset + sum(axis.start for axis in self._axes)
        offsets = np.zeros(1, np.int64) + base
        if self._rows is not None:
            offsets = (offsets[:, None] + self._rows).reshape(-1)
        for axis in self._axes[:outer]:
            places = np.arange(axis.places, dtype=np.int64) * axis.stride
            offsets = (offsets[:, None] + places).reshape(-1)
        return offsets

    def _blocks(self, outer: int) -> int:
        rows = 1 if self._rows is None else len(self._rows)
        for axis in self._axes[:outer]:
            rows *= axis.places
        return rows

    def read(self, image: Image, result: Array) -> None:
        """Reads the region into an array of its shape."""
        plan = self._plan(_GAP_BYTES)
        parts = None
        if plan.split is not None:
            parts = self._parts(*plan.split)
        elif self._blocks(plan.outer) > _BATCH:
            parts = self._halves(-(-self._blocks(plan.outer) // _BATCH))
        elif not plan.exact and self._blocks(plan.outer) * plan.span > 4 * _SPAN_BYTES:
            parts = self._halves(-(-self._blocks(plan.outer) * plan.span // (4 * _SPAN_BYTES)))
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
        """Reads the blocks with their gaps; gives what is wanted of them."""
        memory = np.empty((len(offsets), plan.span), np.uint8)
        _read_blocks(image, offsets, plan.span, memory)
        inner = self._axes[plan.outer :]
        shape = (len(offsets), *(axis.places for axis in inner), self._itemsize)
        strides = (plan.span, *(axis.stride for axis in inner), 1)
        wanted = np.lib.stride_tricks.as_strided(memory, shape, strides, writeable=False)
        return np.ascontiguousarray(wanted).reshape(-1)

    def write(self, image: Image, value: Array, most: int) -> None:
        """Writes an array of the region's shape, and no byte between; copies `most` bytes."""
        plan = self._plan(-1)
        blocks = self._blocks(plan.outer)
        parts = 1
        if value.nbytes > most and not value.flags.c_contiguous:
            parts = -(-value.nbytes // most)
        parts = max(parts, -(-blocks // _BATCH))
        if parts > 1 and max(self.shape) > 1:
            for place, region in self._halves(parts):
                region.write(image, value[place], most)
            return
        if self._rows is not None and len(self._rows) > 1:
            last = np.unique(self._rows[::-1], return_index=True)[1]
            if len(last) < len(self._rows):
                # Of the values for one row the last one counts; blocks of one call have no order.
                chosen = np.sort(len(self._rows) - 1 - last)
                region = Region(self._offset, self._itemsize, self._rows[chosen], self._axes)
                region.write(image, value[chosen], most)
                return
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        offsets = self._offsets(plan.outer)
        if len(offsets) > 1 and plan.span < _LONG_BYTES:
            image.write_blocks(data, offsets)
            return
        for at, offset in enumerate(offsets):
            image.write(data[at * plan.span : (at + 1) * plan.span], int(offset))


def _read_blocks(image: Image, offsets: Array, span: int, out: Array) -> None:
    """Reads blocks of `span` bytes into a contiguous array, next to each other."""
    memory = out.reshape(-1).view(np.uint8)
    if len(offsets) == 1 or span >= _LONG_BYTES:
        for at, offset in enumerate(offsets):
            _read_all(image, memory[at * span : (at + 1) * span], int(offset))
        return
    # Blocks that follow each other in the image, too, are one.
    breaks = np.flatnonzero(np.diff(offsets) != span) + 1
    starts = np.concatenate(([0], breaks))
    if 2 * len(starts) > len(offsets):
        # Few do: they all go straight into the result.
        image.read_blocks(offsets, span, memory)
        return
    lengths = np.diff(np.concatenate((starts, [len(offsets)]))) * span
    extents = ((int(at), int(n), True) for at, n in zip(offsets[starts], lengths))
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
            f"{image} ends at byte {offset + done}, within the array", errno=22
        )
