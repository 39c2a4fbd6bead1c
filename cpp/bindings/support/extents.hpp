// The Python Extents: what a diff found, as one array.
#pragma once

#include <pybind11/pybind11.h>

#include <rbdxx/diff.hpp>

namespace rbdxx::python {

namespace py = pybind11;

struct Extents {
    diff::Array items;
};

// One extent as (offset, length, exists).
py::tuple extent_tuple(const diff::Extent& extent);

void bind_extents(py::module_& m);

}  // namespace rbdxx::python
