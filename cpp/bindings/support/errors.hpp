// C++ errors as Python exceptions.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include <rbdxx/error.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// Returns the result of a call of CPython. If there is none, throws the exception that the call
// set.
inline py::object checked(PyObject* made) {
    if (made == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(made);
}

// Makes a type that only this module can instantiate. Python 3.9 has no flag for that: its types
// inherit the constructor of `object`.
inline py::object sealed_type(PyType_Spec& spec) {
    py::object made = checked(PyType_FromSpec(&spec));
    reinterpret_cast<PyTypeObject*>(made.ptr())->tp_new = nullptr;
    return made;
}

// The kind of Python exception that an error becomes. errors.cpp has the table of the classes.
enum class Kind {
    image,         // by its code, as for most calls
    group,         // by its code, as for calls on groups
    group_rename,  // by its code, as for the renaming of groups
    rados,         // by its code, as for calls of librados
    rados_key,     // a KeyError too
    rados_argument,
    rados_forked,
    argument,
    not_text,
    closed_image,
    closed_ioctx,
    closed_cluster,
    closed_connection,  // of an open context
    disconnected,
    forked,
    incomplete,
    logic,
    mismatch,
    missing,
    absent,
    library,
};

// Sets the Python exception of that kind for an error.
void raise(Kind kind, const Error& error);

// Sets an existing exception, such as one that current_exception() or make_error() returned.
void restore(py::handle error);
// Raises an existing exception.
[[noreturn]] void throw_error(py::handle error);
// Reports the exception that is being handled, if there is no caller to raise it in.
void report_current(py::handle callback) noexcept;

// Sets the Python exception for the C++ exception that is being handled. Returns false if it is not
// an error of this project.
bool raise_current() noexcept;
// Sets the Python exception for the std::exception that is being handled, from any source.
void restore_current() noexcept;

// Raises the TypeError for a value that is not text. It is an InvalidArgument too, as in the stock
// module.
[[noreturn]] void throw_not_text(py::handle source);
// Returns the name of a value's type, for messages.
inline std::string type_of(py::handle value) {
    return Py_TYPE(value.ptr())->tp_name;
}

// Returns the C++ or Python exception that is being handled, as a Python object with its traceback.
py::object current_exception() noexcept;

// Makes the Python exception object for a failed operation on an image.
py::object make_error(int code, const std::string& message);

}  // namespace rbdxx::python
