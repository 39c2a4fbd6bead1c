// Offsets from any source of integers: a buffer of any integer type, or a sequence.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

namespace rbdxx::python {

namespace py = pybind11;

// Raises OverflowError for a negative number, TypeError for an item that is not an integer,
// ValueError for more than one dimension.
std::vector<uint64_t> convert_offsets(py::handle source);

}  // namespace rbdxx::python
