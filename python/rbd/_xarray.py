"""An array on an image as a variable of xarray, which reads values when they are requested."""

from __future__ import annotations

from typing import Any, Hashable, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np
from xarray import DataArray, Dataset, Variable
from xarray.backends import BackendArray
from xarray.core import indexing


class Selectable(Protocol):
    """An object that an index of numpy can select from, such as an `ImageArray`."""

    @property
    def shape(self) -> Tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: Any) -> Any: ...


class LazyArray(BackendArray):  # type: ignore[misc,unused-ignore]
    """Reads from an image what an index of xarray selects."""

    def __init__(self, array: Selectable) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        if isinstance(key, indexing.VectorizedIndexer):
            return self._read_points(key.tuple)
        # One array in an index. xarray itself applies the others to the result.
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read_outer)

    def _read_outer(self, key: Tuple[Any, ...]) -> Any:
        """Read the product of the selections along the axes."""
        # numpy treats an integer beside an array as an array, and moves axes.
        integers = [isinstance(part, (int, np.integer)) for part in key]
        parts = [
            slice(int(part), int(part) + 1) if single else part
            for part, single in zip(key, integers)
        ]
        found = self.array[tuple(parts)]
        return found[tuple(0 if single else slice(None) for single in integers)]

    def _read_points(self, key: Tuple[Any, ...]) -> Any:
        """Read along arrays that are broadcast together, whose axes come first in the result."""
        found = self.array[key]
        arrays = [at for at, part in enumerate(key) if not isinstance(part, slice)]
        if arrays and arrays == [*range(arrays[0], arrays[-1] + 1)]:
            # numpy has left them at the place of the arrays in the index.
            count = np.broadcast(*(key[at] for at in arrays)).ndim
            found = np.moveaxis(found, range(arrays[0], arrays[0] + count), range(count))
        return found


def data_array(
    array: Selectable,
    dims: Sequence[Hashable],
    coords: Optional[Mapping[Any, Any]],
    name: Optional[Hashable],
    attrs: Optional[Mapping[Any, Any]],
) -> DataArray:
    """Return the array with the names of its axes."""
    variable = Variable(dims, indexing.LazilyIndexedArray(LazyArray(array)), attrs)
    # The constructor of DataArray would read all of it.
    made = Dataset({"array": variable}, coords)["array"]
    made.name = name
    return made
