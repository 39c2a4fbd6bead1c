// Helpers for a method that bypasses pybind11's dispatch. fastcall.hpp says why some do.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

#include "arguments.hpp"
#include "errors.hpp"

namespace rbdxx::python::fast {

// The parameters of a method. The first `required` of them must be given.
template <std::size_t count>
struct Parameters {
    const char* method;
    const char* names[count];
    std::size_t required;
};

inline bool wrong(const char* format, const char* method, const char* name) {
    PyErr_Format(PyExc_TypeError, format, method, name);
    return false;
}

template <std::size_t count>
bool place_keyword(const Parameters<count>& parameters, PyObject* name, PyObject* value,
                   PyObject* (&found)[count]) {
    for (std::size_t i = 0; i < count; ++i) {
        if (PyUnicode_CompareWithASCIIString(name, parameters.names[i]) == 0) {
            if (found[i] != nullptr) {
                return wrong("%s() got multiple values for argument '%s'", parameters.method,
                             parameters.names[i]);
            }
            found[i] = value;
            return true;
        }
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", parameters.method,
                 name);
    return false;
}

// Sorts the arguments of a call. Sets TypeError if they do not fit.
template <std::size_t count>
bool parse(const Parameters<count>& parameters, PyObject* const* arguments, Py_ssize_t given,
           PyObject* keywords, PyObject* (&found)[count]) {
    if (static_cast<std::size_t>(given) > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments (%zd given)",
                     parameters.method, count, given);
        return false;
    }
    for (Py_ssize_t i = 0; i < given; ++i) {
        found[i] = arguments[i];
    }
    Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < named; ++i) {
        if (!place_keyword(parameters, PyTuple_GET_ITEM(keywords, i), arguments[given + i],
                           found)) {
            return false;
        }
    }
    for (std::size_t i = 0; i < parameters.required; ++i) {
        if (found[i] == nullptr) {
            return wrong("%s() missing required argument '%s'", parameters.method,
                         parameters.names[i]);
        }
    }
    return true;
}

inline uint64_t number(PyObject* argument) {
    if (PyLong_CheckExact(argument)) {
        uint64_t value = PyLong_AsUnsignedLongLong(argument);
        if (value == static_cast<uint64_t>(-1) && PyErr_Occurred() != nullptr) {
            throw py::error_already_set();
        }
        return value;
    }
    return convert_u64(argument);
}

inline uint64_t number_or(PyObject* argument, uint64_t otherwise) {
    return argument != nullptr ? number(argument) : otherwise;
}

// Returns the value in an instance. The descriptor has checked that `self` is a T.
template <class T>
T& value_of(PyObject* self) {
    auto* instance = reinterpret_cast<py::detail::instance*>(self);
    void* value =
        instance->simple_layout
            ? instance->simple_value_holder[0]
            : instance->get_value_and_holder(py::detail::get_type_info(typeid(T))).value_ptr();
    if (value == nullptr) {
        throw py::type_error(std::string(Py_TYPE(self)->tp_name) + ".__init__() was not called");
    }
    return *static_cast<T*>(value);
}

// Sets the Python exception for what `call()` throws.
template <class Call>
PyObject* guarded(const Call& call) {
    try {
        return call();
    } catch (const std::exception&) {
        restore_current();
    }
    return nullptr;
}

// Calls `call(found)` with the sorted arguments.
template <std::size_t count, class Call>
PyObject* with_arguments(const Parameters<count>& parameters, PyObject* const* arguments,
                         Py_ssize_t given, PyObject* keywords, const Call& call) {
    PyObject* found[count] = {};
    if (!parse(parameters, arguments, given, keywords, found)) {
        return nullptr;
    }
    return guarded([&] { return call(found); });
}

inline PyCFunction function(PyObject* (*call)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call));
}

constexpr int with_keywords = METH_FASTCALL | METH_KEYWORDS;

// The definitions are never freed, because descriptors point to them.
template <std::size_t count>
void define(const py::object& type, PyMethodDef (&methods)[count]) {
    for (PyMethodDef& method : methods) {
        type.attr(method.ml_name) =
            checked(PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &method));
    }
}

// Defines an iterator's `__next__`. `next(self)` returns null without an exception at the end.
template <PyObject* (*next)(PyObject*)>
void define_next(const py::object& type, const char* doc) {
    static PyMethodDef methods[] = {
        {"__next__",
         [](PyObject* self, PyObject*) {
             PyObject* item = next(self);
             if (item == nullptr && PyErr_Occurred() == nullptr) {
                 PyErr_SetNone(PyExc_StopIteration);
             }
             return item;
         },
         METH_NOARGS, doc},
    };
    define(type, methods);
    // A loop calls the slot. Adding the attribute has filled the slot with a call of the attribute,
    // which is for programs only, so set the slot again.
    reinterpret_cast<PyTypeObject*>(type.ptr())->tp_iternext = next;
}

}  // namespace rbdxx::python::fast
