"""Images as arrays: what numpy.memmap is for a file, without mapping anything."""

from __future__ import annotations

import errno
import math
import operator
import os
import threading
import uuid
import weakref
from typing import (
    Any,
    Hashable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from . import exceptions
from ._core import Image
from ._opened import Opened, SnapshotCheck
from ._regions import Axis, Region
from .spec import ImageSpec, open_spec

__all__ = ["ImageArray"]

# Images that this process opened by address. Arrays on the same image share one.
_images: weakref.WeakValueDictionary[Tuple[int, ImageSpec, bool], Image] = (
    weakref.WeakValueDictionary()
)
_images_lock = threading.Lock()


def _after_fork() -> None:
    # The thread that held the lock does not exist in the child.
    global _images_lock
    _images_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
# The most bytes of a long assignment that are copied at once.
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
    """What an index selects: a region of the image, and the form of the resulting array."""

    region: Region
    # An index that reverses the axes with a negative step, and keeps an array an array.
    flips: Tuple[Any, ...]
    shape: Tuple[int, ...]
    scalar: bool


class ImageArray:
    """An array whose elements are in an image, in C order from byte `offset` on.

    An index returns a new numpy array with what it selects, or a scalar. Only those bytes are
    read, with many reads in flight at once. An index is numpy's: slices with any step,
    integers, the ellipsis, newaxis, and arrays of integers or booleans. Fields of structured
    types are not supported. Assignment writes through at once; `flush` returns when that is
    safe in the cluster. `numpy.asarray` reads the whole array.

    It pickles as its address (pool, namespace, image, snapshot, configuration file and client
    name, but no key). The other process opens the image anew, and its arrays share images and
    connections.

    Parameters
    ----------
    image_or_spec
        An open image, or the address "pool[/namespace]/image[@snapshot]" of one.
    dtype
        The type of the elements, without Python objects.
    shape
        The shape of the array, which must fit into the image.
    offset
        Where the first element is, in bytes.
    mode
        "r"; or "r+" to assign, too.
    merge_writes
        True: an assignment to elements that lie near each other in an object reads, changes and
        writes back what is between them, which is much faster. Nobody else may write there
        meanwhile. False: no byte between them is written.

    Raises
    ------
    ValueError
        The array does not fit into the image, or the mode or the type makes no sense.
    ImageNotFound
        There is no such image, pool or snapshot.
    ReadOnlyImage
        The mode is "r+", and the image is open only for reading.
    """

    # numpy lets other types handle an operation first.
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
        merge_writes: bool = False,
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
            raise ValueError(f"shape must not have negative lengths, not be {lengths}")
        offset = operator.index(offset)
        if offset < 0:
            raise ValueError(f"offset must be at least 0 bytes, not {offset}")
        if base.itemsize == 0:
            raise ValueError(f"dtype must have elements of at least 1 byte, not be {base}")
        self.dtype = base
        self.shape: Tuple[int, ...] = lengths
        self._template = _template(base.itemsize, lengths)
        self.offset = offset
        self.mode = mode
        self.merge_writes = bool(merge_writes)
        if isinstance(image_or_spec, Image):
            self._image = image_or_spec
            self._spec: Optional[ImageSpec] = None
            image_or_spec.require_not_closed()
            if mode == "r+" and not Opened.of(image_or_spec).writable:
                raise exceptions.ReadOnlyImage(
                    f"{image_or_spec} is open read-only", errno=errno.EROFS
                )
        else:
            self._spec = (
                image_or_spec
                if isinstance(image_or_spec, ImageSpec)
                else ImageSpec.parse(image_or_spec)
            )
            self._image = _shared_image(self._spec, read_only=mode == "r")
        self._snapshot = SnapshotCheck(self._image)
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
        """The open image; after a fork, one that the child opened for itself, if the array was
        made from an address."""
        if self._spec is not None and self._process != os.getpid():
            self._image = _shared_image(self._spec, read_only=self.mode == "r")
            self._snapshot = SnapshotCheck(self._image)
            self._process = os.getpid()
        return self._image

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """The size of all elements in bytes."""
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
            raise ValueError("an array on an image cannot be converted without a copy")
        array = np.asarray(self[...])
        return array if dtype is None else array.astype(dtype, copy=False)

    def __dask_tokenize__(self) -> Tuple[Any, ...]:
        spec = self._spec or ImageSpec.of(self._image)
        what = (str(spec), spec.image_id, spec.conffile, self.dtype.str, self.shape, self.offset)
        # Anything but a snapshot may change, so each token is different.
        return what if spec.snapshot is not None else (*what, uuid.uuid4().hex)

    def __reduce__(self) -> Tuple[Any, ...]:
        spec = self._spec or ImageSpec.of(self._image)
        return _reopen, (spec, self.dtype, self.shape, self.offset, self.mode, self.merge_writes)

    def flush(self) -> None:
        """Wait until everything that was assigned is safe in the cluster."""
        self.image.flush()

    def to_xarray(
        self,
        dims: Sequence[Hashable],
        coords: Optional[Mapping[Any, Any]] = None,
        *,
        name: Optional[Hashable] = None,
        attrs: Optional[Mapping[Any, Any]] = None,
    ) -> Any:
        """Return an xarray.DataArray that reads only its selected values from the image.

        It reads nothing before a program asks for values. Its `load()` keeps them; its `chunk()`
        passes them to dask.

        Parameters
        ----------
        dims
            The name of each axis.
        coords
            Coordinates, as xarray.DataArray takes them.
        name
            The name of the result.
        attrs
            The attributes of the result.

        Returns
        -------
        An xarray.DataArray, which is read-only: assign to the ImageArray itself. It can be pickled
        if this array can.

        Raises
        ------
        ImportError
            If xarray is not installed.
        ValueError
            If there are more or fewer names than axes.
        """
        from ._xarray import data_array

        return data_array(self, dims, coords, name, attrs)

    def __getitem__(self, key: Any) -> Any:
        region, flips, shape, scalar = self._select(key)
        result = np.empty(region.shape, self.dtype)
        if result.size:
            region.read(self.image, result)
            self._snapshot.after_read()
        result = result[flips].reshape(shape)
        return result[()] if scalar else result

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.mode != "r+":
            raise ValueError("the array is read-only: its mode is 'r'")
        region, flips, shape, _ = self._select(key)
        value = np.asarray(value, dtype=self.dtype)
        while value.ndim > len(shape) and value.shape[0] == 1:
            # Additional axes of length 1 are ignored, as in numpy.
            value = value.reshape(value.shape[1:])
        value = np.broadcast_to(value, shape).reshape(region.shape)[flips]
        if value.size:
            region.write(self.image, value, _ASSIGN_BYTES, self.merge_writes)

    def _select(self, key: Any) -> _Selection:
        given = key if isinstance(key, tuple) else (key,)
        parts = [_index(part) for part in given]
        # numpy applies the basic parts; the axes of index arrays stay whole for now. The ellipsis
        # makes the result a view even if all parts are integers, because the element itself is not
        # in memory.
        basic: List[Any] = []
        for part in parts:
            if isinstance(part, np.ndarray):
                basic += [slice(None)] * _axes_of(part)
            else:
                basic.append(part)
        has_ellipsis = any(part is Ellipsis for part in basic)
        view = self._template[tuple(basic if has_ellipsis else [*basic, Ellipsis])]
        offset = self.offset + _address(view) - _address(self._template)
        kept, points, where = list(range(view.ndim)), None, 0
        if any(isinstance(part, np.ndarray) for part in parts):
            kept, points, where = _apply_arrays(view, parts)
        axes: List[Axis] = []
        flips: List[slice] = []
        shape: List[int] = []
        for axis in [*kept[:where], None, *kept[where:]]:
            if axis is None:
                if points is not None:
                    axes.append(Axis(points.size, 0, points.reshape(-1)))
                    flips.append(slice(None))
                    shape += points.shape
                continue
            length, stride = view.shape[axis], view.strides[axis]
            shape.append(length)
            if length == 1:
                continue
            if stride < 0:
                # Read in ascending order, and reversed afterwards.
                offset += (length - 1) * stride
            flips.append(slice(None, None, -1 if stride < 0 else 1))
            axes.append(Axis(length, abs(stride)))
        return _Selection(
            Region(offset, self.itemsize, axes),
            (Ellipsis, *flips),
            tuple(shape),
            points is None and view.ndim == 0 and not has_ellipsis,
        )


def _template(itemsize: int, shape: Tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return an array of that shape over the memory of one element.

    Only views of it are used; nobody reads their elements.
    """
    strides = [itemsize] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    element = np.empty(1, np.dtype((np.void, itemsize)))
    return np.lib.stride_tricks.as_strided(element, shape, strides, writeable=False)


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _index(part: Any) -> Any:
    """Convert a part of an index to a slice, an int, None, the ellipsis, or an array. Raises
    IndexError."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if not isinstance(part, bool):
        try:
            return operator.index(part)
        except TypeError:
            pass
    if isinstance(part, str):
        raise IndexError(f"index the elements first, then their field: array[...][{part!r}]")
    try:
        chosen = np.asarray(part)
    except ValueError:
        raise IndexError(f"an index must not be a ragged {type(part).__name__}") from None
    if chosen.size == 0 and not isinstance(part, np.ndarray):
        chosen = chosen.astype(np.intp)
    if chosen.dtype.kind not in "iub":
        raise IndexError(
            "an index must be of integers, slices, '...', None, or arrays of integers or "
            f"booleans, not {type(part).__name__} of {chosen.dtype}"
        )
    return chosen


def _axes_of(chosen: np.ndarray[Any, Any]) -> int:
    """Return the number of axes that an index array applies to."""
    return chosen.ndim if chosen.dtype == np.bool_ else 1


def _apply_arrays(
    view: np.ndarray[Any, Any], parts: List[Any]
) -> Tuple[List[int], np.ndarray[Any, Any], int]:
    """Apply the index arrays among the parts to a view to which the other parts were applied.

    Returns the view's other axes; the offset of each byte that a combination of the arrays selects,
    from the view's first byte on; and the place among those axes where numpy puts the axes of the
    combinations.
    """
    widths = [
        _axes_of(part) if isinstance(part, np.ndarray) else 0 if isinstance(part, int) else 1
        for part in parts
    ]
    for at, part in enumerate(parts):
        if part is Ellipsis:
            widths[at] = view.ndim - (sum(widths) - 1)
    starts = [sum(widths[:at]) for at in range(len(parts))]
    shifts: List[np.ndarray[Any, Any]] = []
    kept = list(range(view.ndim))
    for start, width, part in zip(starts, widths, parts):
        if isinstance(part, np.ndarray):
            shifts.append(_shifts(view, start, part))
            kept = [axis for axis in kept if not start <= axis < start + width]
    try:
        points = sum(np.broadcast_arrays(*shifts), np.zeros((), np.int64))
    except ValueError:
        shapes = " ".join(str(shift.shape) for shift in shifts)
        raise IndexError(f"shape mismatch: index arrays of shapes {shapes}") from None
    # Beside an array, an integer is an array without axes. The axes of the arrays replace the
    # arrays, but come first if another part is between the arrays.
    arrays = [isinstance(part, (int, np.ndarray)) for part in parts]
    first = arrays.index(True)
    last = len(arrays) - 1 - arrays[::-1].index(True)
    return kept, points, starts[first] if all(arrays[first : last + 1]) else 0


def _shifts(view: np.ndarray[Any, Any], axis: int, chosen: np.ndarray[Any, Any]) -> Any:
    """Return the offset in bytes for each item of an index array, along the view's axes from `axis`
    on."""
    if chosen.dtype == np.bool_:
        lengths = view.shape[axis : axis + chosen.ndim]
        if chosen.shape != lengths:
            raise IndexError(
                f"a boolean index of shape {chosen.shape} for axes of lengths {lengths}, from axis "
                f"{axis} on"
            )
        if chosen.ndim == 0:
            return np.zeros(int(chosen), np.int64)
        strides = view.strides[axis : axis + chosen.ndim]
        return sum(at * stride for at, stride in zip(chosen.nonzero(), strides))
    length = view.shape[axis]
    wide = chosen.astype(np.int64)
    wrong = wide[(wide < -length) | (wide >= length)]
    if wrong.size:
        raise IndexError(f"index {wrong[0]} is out of bounds for axis {axis} of length {length}")
    return np.where(wide < 0, wide + length, wide) * view.strides[axis]


def _reopen(
    spec: ImageSpec,
    dtype: np.dtype[Any],
    shape: Tuple[int, ...],
    offset: int,
    mode: str,
    merge_writes: bool,
) -> ImageArray:
    return ImageArray(spec, dtype, shape, offset=offset, mode=mode, merge_writes=merge_writes)
