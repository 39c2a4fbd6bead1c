// C++ errors as Python exceptions.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include <rbdxx/error.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// The result of a call of CPython; throws the exception that the call set if there is no result.
inline py::object checked(PyObject* made) {
    if (made == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(made);
}

// A type of which only this module makes instances. Before Python 3.10 there is no flag for that: a
// type inherits `object`'s way of making them.
inline py::object sealed_type(PyType_Spec& spec) {
    py::object made = checked(PyType_FromSpec(&spec));
    reinterpret_cast<PyTypeObject*>(made.ptr())->tp_new = nullptr;
    return made;
}

// Which Python exception an error becomes; errors.cpp has the table of the classes.
enum class Kind {
    image,         // by its code, as for most calls
    group,         // by its code, as for calls on groups
    group_rename,  // by its code, as for the renaming of groups
    rados,         // by its code, as for calls into librados
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

// Sets an exception that is there already, as current_exception() and make_error() give one.
void restore(py::handle error);
// Raises it.
[[noreturn]] void throw_error(py::handle error);
// Reports the exception that is being handled where there is no caller to raise it in.
void report_current(py::handle callback) noexcept;

// Sets the Python exception for the C++ exception that is being handled. Returns false if it is
// not an error of this project.
bool raise_current() noexcept;
// Sets the Python exception for the std::exception that is being handled, of whatever origin.
void restore_current() noexcept;

// Raises the TypeError (an InvalidArgument too, as in the stock module) for a value that is not
// text.
[[noreturn]] void throw_not_text(py::handle source);
// The name of a value's type, for messages.
inline std::string type_of(py::handle value) {
    return Py_TYPE(value.ptr())->tp_name;
}

// The C++ or Python exception that is being handled, as a Python object with its traceback.
py::object current_exception() noexcept;

// The Python exception object for a failed operation on an image.
py::object make_error(int code, const std::string& message);

}  // namespace rbdxx::python
