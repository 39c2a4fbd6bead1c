#include "fastcall.hpp"

#include <cstring>
#include <exception>
#include <string>

#include <rbdxx/io.hpp>

#include "buffer.hpp"
#include "errors.hpp"
#include "fast_method.hpp"
#include "gil.hpp"

namespace rbdxx::python {

namespace {

using fast::define;
using fast::function;
using fast::guarded;
using fast::number;
using fast::value_of;
using fast::with_arguments;
using fast::with_keywords;
using Parameters = fast::Parameters<3>;

int flags_of(PyObject* argument) {
    return argument != nullptr ? convert_flags(argument) : 0;
}

const Image& image_of(PyObject* self) {
    return value_of<const PyImage>(self).get();
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
