// The stock `rados` module's objects, and ctypes', as I/O contexts and clusters.
#pragma once

#include <pybind11/pybind11.h>

#include "arguments.hpp"

namespace rbdxx::python {

// A stock rados.Ioctx, or an object with a ctypes `io` attribute; TypeError for anything else or a
// layout that looks foreign, ClosedError for one that is closed or whose Rados is not connected.
IoCtxArgument foreign_ioctx(py::handle source);

// The rados_t of a stock rados.Rados, connected; TypeError for anything else.
abi::rados_t foreign_cluster(py::handle source);

// Whether a stock Rados, or None for one that is not known, is still connected.
bool foreign_connected(py::handle connection);

}  // namespace rbdxx::python
