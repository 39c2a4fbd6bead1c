"""Images as arrays: what numpy.memmap is for a file, without mapping anything."""

from __future__ import annotations

import itertools
import math
import operator
import os
import threading
import uuid
import weakref
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import exceptions
from ._core import Image
from ._regions import Axis, Region
from .spec import ImageSpec, open_spec

__all__ = ["ImageArray"]

# Images that were opened by address in this process: arrays of one image share it.
_images: weakref.WeakValueDictionary[Tuple[int, ImageSpec, bool], Image] = (
    weakref.WeakValueDictionary()
)
_images_lock = threading.Lock()


def _after_fork() -> None:
    # Whichever thread held it is not in the child.
    global _images_lock
    _images_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
# How much of a long assignment is made at once, in bytes.
_ASSIGN_BYTES = 32 << 20


def _shared_image(spec: ImageSpec, read_only: bool) -> Image:
    key = (os.getpid(), spec, read_only)
    with _images_lock:
        image = _images.get(key)
        if image is None or image.closed:
            image = open_spec(spec, read_only=read_only)
            _images[key] = image
        return image


class _Selection(NamedTuple):
    """What an index selects: axes of the array, and how they become those of the result."""

    # The rows of the first axis that an array of integers names, in its shape; else None.
    rows: Optional[np.ndarray[Any, Any]]
    axes: List[Axis]
    # For each axis of the result: the one of `axes` (counted with the rows' own), or None for
    # newaxis.
    shape: Tuple[int, ...]
    flips: Tuple[slice, ...]
    scalar: bool


class ImageArray:
    """An array whose elements are in an image, in C order from byte `offset` on.

    image_or_spec: an open image, or the address "pool[/namespace]/image[@snapshot]" of one. dtype:
    of the elements, without Python objects. shape: of the array, which must fit into the image.
    mode: "r", or "r+" to assign too.

    An index gives a new numpy array with what the index selects, or a scalar; only those bytes are
    read, many reads in flight at once. There are slices with any step, integers, the ellipsis and
    newaxis, and on the first axis an array of integers or booleans. Assignment writes through at
    once; `flush` returns when that is safe in the cluster. `numpy.asarray` reads it all.

    It pickles as its address (pool, namespace, image, snapshot, configuration file, client name: no
    key) and opens the image anew in the other process, where arrays share images and connections.
    """

    # numpy asks others first.
    __array_priority__ = -1.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        image_or_spec: Union[Image, str, ImageSpec],
        dtype: Any,
        shape: Union[int, Sequence[int]],
        *,
        offset: int = 0,
        mode: str = "r",
    ) -> None:
        if mode not in ("r", "r+"):
            raise ValueError(f"mode must be 'r' or 'r+', not {mode!r}")
        kind = np.dtype(dtype)
        if kind.hasobject:
            raise TypeError(f"{kind} holds Python objects, which no image can")
        base, inner = (kind, ()) if kind.subdtype is None else kind.subdtype
        lengths = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        lengths = tuple(operator.index(length) for length in lengths) + tuple(inner)
        if any(length < 0 for length in lengths):
            raise ValueError(f"negative length in shape {lengths}")
        offset = operator.index(offset)
        if offset < 0:
            raise ValueError(f"negative offset {offset}")
        if base.itemsize == 0:
            raise ValueError(f"elements of {base} have no size")
        self.dtype = base
        self.shape: Tuple[int, ...] = lengths
        self.offset = offset
        self.mode = mode
        if isinstance(image_or_spec, Image):
            self._image = image_or_spec
            self._spec: Optional[ImageSpec] = None
            image_or_spec.require_not_closed()
            *_, snapshot, read_only, _client, _conf = image_or_spec._address()
            if mode == "r+" and (read_only or snapshot is not None):
                raise exceptions.ReadOnlyImage(f"{image_or_spec} is open read-only", errno=30)
        else:
            self._spec = (
                image_or_spec
                if isinstance(image_or_spec, ImageSpec)
                else ImageSpec.parse(image_or_spec)
            )
            self._image = _shared_image(self._spec, read_only=mode == "r")
        self._process = os.getpid()
        end = offset + self.nbytes
        size = self._image.size()
        if end > size:
            raise ValueError(
                f"an array of shape {lengths} and type {base} at byte {offset} ends at byte {end}, "
                f"but the image has {size}"
            )

    @property
    def image(self) -> Image:
        """The open image; after a fork, one that the child opened for itself, where the array was
        made from an address."""
        if self._spec is not None and self._process != os.getpid():
            self._image = _shared_image(self._spec, read_only=self.mode == "r")
            self._process = os.getpid()
        return self._image

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.itemsize

    def __repr__(self) -> str:
        return (
            f"<rbd.ImageArray {self._image} shape={self.shape} dtype={self.dtype} "
            f"offset={self.offset} mode={self.mode!r}>"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth of an array of other than one element is ambiguous")
        return bool(np.asarray(self))

    def __iter__(self) -> Iterator[Any]:
        for first in range(len(self)):
            yield self[first]

    def __array__(
        self, dtype: Any = None, copy: Optional[bool] = None
    ) -> np.ndarray[Any, np.dtype[Any]]:
        if copy is False:
            raise ValueError("an array on an image cannot be had without a copy")
        array = np.asarray(self[...])
        return array if dtype is None else array.astype(dtype, copy=False)

    def __dask_tokenize__(self) -> Tuple[Any, ...]:
        spec = self._spec or ImageSpec.of(self._image)
        what = (str(spec), spec.image_id, spec.conffile, self.dtype.str, self.shape, self.offset)
        # What is not a snapshot may change: no two arrays of it are the same.
        return what if spec.snapshot is not None else (*what, uuid.uuid4().hex)

    def __reduce__(self) -> Tuple[Any, ...]:
        spec = self._spec or ImageSpec.of(self._image)
        return _reopen, (spec, self.dtype, self.shape, self.offset, self.mode)

    def flush(self) -> None:
        """Returns when everything that was assigned is safe in the cluster."""
        self.image.flush()

    def __getitem__(self, key: Any) -> Any:
        selection = self._select(key)
        region = self._region(selection)
        result = np.empty(region.shape, self.dtype)
        if result.size:
            region.read(self.image, result)
        result = result[selection.flips].reshape(selection.shape)
        return result[()] if selection.scalar else result

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.mode != "r+":
            raise ValueError("the array is read-only: its mode is 'r'")
        selection = self._select(key)
        region = self._region(selection)
        value = np.asarray(value, dtype=self.dtype)
        while value.ndim > len(selection.shape) and value.shape[0] == 1:
            # As with numpy, axes of one place too many do not count.
            value = value[0]
        value = np.broadcast_to(value, selection.shape)
        if not value.size:
            return
        # The other way round than reading: in the order of the image, then without new axes.
        if selection.shape != region.shape:
            value = (
                value.reshape(region.shape)
                if value.flags.c_contiguous
                else np.reshape(value, region.shape)
            )
        value = value[selection.flips]
        region.write(self.image, value, _ASSIGN_BYTES)

    def _region(self, selection: _Selection) -> Region:
        return Region(self.offset, self.itemsize, selection.rows, selection.axes)

    def _select(self, key: Any) -> _Selection:
        given = list(key) if isinstance(key, tuple) else [key]
        parts = self._expand(given)
        strides = [self.itemsize] * self.ndim
        for axis in range(self.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * self.shape[axis + 1]
        rows: Optional[np.ndarray[Any, Any]] = None
        axes: List[Axis] = []
        shape: List[int] = []
        flips: List[slice] = []
        # As with numpy, an ellipsis makes an array even of one element.
        all_integers = not any(part is Ellipsis for part in given)
        axis = 0
        for part in parts:
            if part is None:
                shape.append(1)
                all_integers = False
                continue
            length = self.shape[axis]
            if isinstance(part, np.ndarray):
                if axis != 0:
                    raise IndexError("arrays of indices go on the first axis alone")
                rows = part.reshape(-1) * strides[0]
                if _stands_apart(given):
                    # Only axes of one place change theirs, and so no element does.
                    shape = [*part.shape, *shape]
                else:
                    shape += part.shape
                flips.append(slice(None))
                all_integers = False
            elif isinstance(part, slice):
                start, stop, step = part.indices(length)
                count = len(range(start, stop, step))
                if step < 0:
                    # Read upwards, then turned round.
                    start, step = start + (count - 1) * step, -step
                    flips.append(slice(None, None, -1))
                else:
                    flips.append(slice(None))
                axes.append(Axis(max(start, 0) * strides[axis], count, step * strides[axis]))
                shape.append(count)
                all_integers = False
            else:
                axes.append(Axis(part * strides[axis], 1, strides[axis]))
                flips.append(slice(None))
            axis += 1
        return _Selection(rows, axes, tuple(shape), tuple(flips), all_integers)

    def _expand(self, parts: List[Any]) -> List[Any]:
        """The parts of an index, one for each axis besides the new ones, each checked."""
        ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
        if len(ellipses) > 1:
            raise IndexError("an index can have one ellipsis only")
        used = sum(part is not None and part is not Ellipsis for part in parts)
        if used > self.ndim:
            raise IndexError(f"too many indices: {used} for {self.ndim} axes")
        fill = [slice(None)] * (self.ndim - used)
        at = ellipses[0] if ellipses else len(parts)
        parts = parts[:at] + fill + parts[at + len(ellipses) :]
        axis = 0
        expanded: List[Any] = []
        for part in parts:
            if part is None:
                expanded.append(None)
                continue
            expanded.append(self._checked(part, axis))
            axis += 1
        return expanded

    def _checked(self, part: Any, axis: int) -> Any:
        length = self.shape[axis]
        if isinstance(part, slice):
            return part
        if not isinstance(part, (np.ndarray, list, bool, np.bool_)):
            try:
                index = operator.index(part)
            except TypeError:
                pass
            else:
                if not -length <= index < length:
                    raise IndexError(
                        f"index {index} is out of bounds for axis {axis} of length {length}"
                    )
                return index % length if length else index
        chosen = np.asarray(part)
        if chosen.size == 0 and isinstance(part, list):
            chosen = chosen.astype(np.intp)
        if chosen.dtype == np.bool_:
            if chosen.shape != (length,):
                raise IndexError(
                    f"a boolean index of shape {chosen.shape} for axis {axis} of length {length}"
                )
            return np.flatnonzero(chosen)
        if chosen.dtype.kind not in "iu":
            raise IndexError(f"{type(part).__name__} is no index")
        wide = chosen.astype(np.int64)
        if wide.size and (wide.min() < -length or wide.max() >= length):
            raise IndexError(f"an index is out of bounds for axis {axis} of length {length}")
        return np.where(wide < 0, wide + length, wide)


def _stands_apart(index: List[Any]) -> bool:
    """Whether an integer stands apart from the index's array: numpy has the array's axes first
    then."""
    after = itertools.dropwhile(lambda part: part is None, index)
    next(after)
    apart = itertools.dropwhile(_is_integer, after)
    return any(_is_integer(part) for part in apart)


def _is_integer(part: Any) -> bool:
    return part is not None and part is not Ellipsis and not isinstance(part, slice)


def _reopen(
    spec: ImageSpec, dtype: np.dtype[Any], shape: Tuple[int, ...], offset: int, mode: str
) -> ImageArray:
    return ImageArray(spec, dtype, shape, offset=offset, mode=mode)
