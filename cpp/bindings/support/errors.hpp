// C++ errors as Python exceptions.
#pragma once

#include <pybind11/pybind11.h>

#include <rbdxx/error.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// What a call of CPython's gave; throws the exception that it set where that is nothing.
inline py::object checked(PyObject* made) {
    if (made == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(made);
}

// Sets the Python exception for an error of the given kind (rbd.exceptions._from_core names them).
void raise(const char* kind, const Error& error, const py::tuple& details = py::tuple());

// Sets the Python exception for the C++ exception that is being handled. False where it is not
// ours.
bool raise_current() noexcept;
// Sets the Python exception for the std::exception that is being handled, whoever's it is.
void restore_current() noexcept;

// Raises the TypeError (an InvalidArgument too, as in the stock module) for what is no text.
[[noreturn]] void throw_not_text(py::handle source);
// The C++ or Python exception that is being handled, as a Python object with its traceback.
py::object current_exception() noexcept;

// The Python exception object for a failed operation of the errno kind.
py::object make_error(int code, const std::string& message);

}  // namespace rbdxx::python
