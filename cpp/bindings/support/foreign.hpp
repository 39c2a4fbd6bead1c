// The objects of the stock `rados` module and of ctypes bindings, as I/O contexts and clusters.
#pragma once

#include <pybind11/pybind11.h>

#include "arguments.hpp"

namespace rbdxx::python {

// Converts a stock rados.Ioctx, or an object with a ctypes `io` attribute. Raises TypeError for
// anything else or for an unknown layout, ClosedError if it is closed or its Rados is not
// connected.
IoCtxArgument foreign_ioctx(py::handle source);

// Returns the rados_t of a connected stock rados.Rados. Raises TypeError for anything else.
abi::rados_t foreign_cluster(py::handle source);

// Returns whether a stock Rados is still connected. None stands for a Rados that is not known.
bool foreign_connected(py::handle connection);

}  // namespace rbdxx::python
