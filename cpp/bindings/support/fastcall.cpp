#include "fastcall.hpp"

#include <cstring>
#include <exception>
#include <string>

#include <rbdxx/io.hpp>

#include "buffer.hpp"
#include "errors.hpp"
#include "gil.hpp"

namespace rbdxx::python {

namespace {

// The parameters of a method, the last of which, fadvise_flags, may be left out.
struct Parameters {
    const char* method;
    const char* names[3];
    int required;
};

bool wrong(const char* format, const char* method, const char* name) {
    PyErr_Format(PyExc_TypeError, format, method, name);
    return false;
}

bool place_keyword(const Parameters& parameters, PyObject* name, PyObject* value,
                   PyObject* (&found)[3]) {
    for (int i = 0; i < 3; ++i) {
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

// Sorts the arguments of a call; sets TypeError for what does not fit.
bool parse(const Parameters& parameters, PyObject* const* arguments, Py_ssize_t count,
           PyObject* keywords, PyObject* (&found)[3]) {
    if (count > 3) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 3 arguments (%zd given)",
                     parameters.method, count);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; ++i) {
        found[i] = arguments[i];
    }
    Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < named; ++i) {
        if (!place_keyword(parameters, PyTuple_GET_ITEM(keywords, i), arguments[count + i],
                           found)) {
            return false;
        }
    }
    for (int i = 0; i < parameters.required; ++i) {
        if (found[i] == nullptr) {
            return wrong("%s() missing required argument '%s'", parameters.method,
                         parameters.names[i]);
        }
    }
    return true;
}

uint64_t number(PyObject* argument) {
    if (PyLong_CheckExact(argument)) {
        uint64_t value = PyLong_AsUnsignedLongLong(argument);
        if (value == static_cast<uint64_t>(-1) && PyErr_Occurred() != nullptr) {
            throw py::error_already_set();
        }
        return value;
    }
    return convert_u64(argument);
}

int flags_of(PyObject* argument) {
    return argument != nullptr ? convert_flags(argument) : 0;
}

// What is in an instance; its descriptor has seen to it that `self` is a T.
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

const Image& image_of(PyObject* self) {
    return value_of<const PyImage>(self).get();
}

// Sets the Python exception for whatever `call()` throws.
template <class Call>
PyObject* guarded(const Call& call) {
    try {
        return call();
    } catch (const std::exception&) {
        restore_current();
    }
    return nullptr;
}

// `call(found)` with the sorted arguments.
template <class Call>
PyObject* with_arguments(const Parameters& parameters, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* keywords, const Call& call) {
    PyObject* found[3] = {};
    if (!parse(parameters, arguments, count, keywords, found)) {
        return nullptr;
    }
    return guarded([&] { return call(found); });
}

constexpr Parameters read_parameters{"read", {"offset", "length", "fadvise_flags"}, 2};
constexpr Parameters readinto_parameters{"readinto", {"buffer", "offset", "fadvise_flags"}, 2};
constexpr Parameters write_parameters{"write", {"data", "offset", "fadvise_flags"}, 2};

PyObject* read(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
    return with_arguments(read_parameters, arguments, count, keywords, [&](PyObject* const* found) {
        const Image& image = image_of(self);
        uint64_t offset = number(found[0]);
        uint64_t length = number(found[1]);
        int flags = flags_of(found[2]);
        length = memory_for(image, offset, length);
        NewBytes bytes(length);
        uint64_t done =
            without_gil([&] { return io::read(image, bytes.data(), offset, length, flags); });
        return bytes.take(done).release().ptr();
    });
}

PyObject* readinto(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                   PyObject* keywords) {
    return with_arguments(
        readinto_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const Image& image = image_of(self);
            Buffer buffer(found[0], Buffer::Access::write);
            uint64_t offset = number(found[1]);
            int flags = flags_of(found[2]);
            return PyLong_FromUnsignedLongLong(without_gil(
                [&] { return io::read(image, buffer.data(), offset, buffer.size(), flags); }));
        });
}

PyObject* write(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
    return with_arguments(
        write_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const Image& image = image_of(self);
            Buffer buffer(found[0], Buffer::Access::read);
            uint64_t offset = number(found[1]);
            int flags = flags_of(found[2]);
            return PyLong_FromUnsignedLongLong(without_gil(
                [&] { return io::write(image, buffer.data(), offset, buffer.size(), flags); }));
        });
}

PyObject* size(PyObject* self, PyObject*) {
    return guarded([&] {
        const Image& image = image_of(self);
        return PyLong_FromUnsignedLongLong(without_gil([&] { return image.size(); }));
    });
}

// The same of rbd.aio: a future in place of the answer.

PyObject* start_read(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                     PyObject* keywords) {
    return with_arguments(read_parameters, arguments, count, keywords, [&](PyObject* const* found) {
        auto& calls = value_of<AsyncCalls>(self);
        uint64_t offset = number(found[0]);
        uint64_t length = number(found[1]);
        return calls.read(offset, length, flags_of(found[2])).release().ptr();
    });
}

PyObject* start_readinto(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* keywords) {
    return with_arguments(
        readinto_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            auto& calls = value_of<AsyncCalls>(self);
            uint64_t offset = number(found[1]);
            return calls.readinto(found[0], offset, flags_of(found[2])).release().ptr();
        });
}

PyObject* start_write(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* keywords) {
    return with_arguments(
        write_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            auto& calls = value_of<AsyncCalls>(self);
            uint64_t offset = number(found[1]);
            return calls.write(found[0], offset, flags_of(found[2])).release().ptr();
        });
}

PyCFunction function(PyObject* (*call)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call));
}

constexpr int with_keywords = METH_FASTCALL | METH_KEYWORDS;

// Descriptors point to the definitions for as long as there are any.
template <std::size_t count>
void define(py::object& type, PyMethodDef (&methods)[count]) {
    for (PyMethodDef& method : methods) {
        type.attr(method.ml_name) =
            checked(PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &method));
    }
}

}  // namespace

void bind_fastcall(ImageClass& image) {
    static PyMethodDef methods[] = {
        {"read", function(read), with_keywords,
         "read($self, offset, length, fadvise_flags=0)\n--\n\n"
         "Reads `length` bytes from `offset`, as bytes; shorter only at the end of the image.\n\n"
         "Raises InvalidArgument outside the image, IOError.\n\nImplements: rbd_read, rbd_read2"},
        {"readinto", function(readinto), with_keywords,
         "readinto($self, buffer, offset, fadvise_flags=0)\n--\n\n"
         "Reads into a writable C-contiguous buffer, as many bytes as it has; gives how many "
         "came.\n\n"
         "Fewer come only at the end of the image. Raises TypeError for a read-only buffer,\n"
         "BufferError for one that is not contiguous.\n\nImplements: rbd_read, rbd_read2"},
        {"write", function(write), with_keywords,
         "write($self, data, offset, fadvise_flags=0)\n--\n\n"
         "Writes the bytes of a C-contiguous buffer at `offset`; gives how many.\n\n"
         "Raises IncompleteWriteError across the end of the image, InvalidArgument beyond it,\n"
         "ReadOnlyImage, TypeError for what is no buffer.\n\nImplements: rbd_write, rbd_write2"},
        {"size", size, METH_NOARGS,
         "size($self)\n--\n\nThe size in bytes.\n\nImplements: rbd_get_size"},
    };
    define(image, methods);
}

void bind_fastcall(AsyncCallsClass& calls) {
    static PyMethodDef methods[] = {
        {"read", function(start_read), with_keywords, nullptr},
        {"readinto", function(start_readinto), with_keywords, nullptr},
        {"write", function(start_write), with_keywords, nullptr},
    };
    define(calls, methods);
}

}  // namespace rbdxx::python
