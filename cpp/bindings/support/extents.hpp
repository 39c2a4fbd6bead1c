// The Python Extents: the result of a diff, as one array.
#pragma once

#include <pybind11/pybind11.h>

#include <rbdxx/diff.hpp>

namespace rbdxx::python {

namespace py = pybind11;

struct Extents {
    diff::Array items;
};

// Returns one extent as (offset, length, exists).
py::tuple extent_tuple(const diff::Extent& extent);

void bind_extents(py::module_& m);

}  // namespace rbdxx::python
