// The creation of the module in the interpreters of a process. Ceph's manager, for example, runs
// each of its Python modules in a separate interpreter.
#pragma once

#include <pybind11/pybind11.h>

namespace rbdxx::python {

// Makes the module; for PyInit_ functions. From Python 3.12 on, each interpreter makes its own
// module. Before that, pybind11 keeps one registry of types for the whole process, so all
// interpreters share one module, which belongs to the main interpreter. Returns a new reference, or
// null with an exception set.
PyObject* shared_module(const char* name, void (*fill)(pybind11::module_& m));

}  // namespace rbdxx::python
