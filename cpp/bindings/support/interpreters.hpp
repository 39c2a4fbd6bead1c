// How the module comes into the interpreters of a process; Ceph's manager, for one, runs each of
// its Python modules in an interpreter of its own.
#pragma once

#include <pybind11/pybind11.h>

namespace rbdxx::python {

// From Python 3.12 on, each interpreter makes a module for itself. Before, pybind11 keeps one
// registry of types for the whole process, so they share one module, which belongs to the main
// interpreter. Gives a new reference, or sets an exception; for PyInit_ functions.
PyObject* shared_module(const char* name, void (*fill)(pybind11::module_& m));

}  // namespace rbdxx::python
