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

// The same calls for rbd.aio, which return a future.

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
         R"(Read bytes from the image.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes to read. A read across the end of the image returns fewer.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The bytes.

Raises
------
InvalidArgument
    `offset` is beyond the end of the image, or the image is closed.
IOError
    The cluster could not read.
MemoryError
    There is not enough memory for `length` bytes.
OverflowError
    `offset` or `length` is negative, or 2**64 or more.

Notes
-----
The interpreter lock is released for the whole call. Ctrl-C takes effect when the call returns;
the setting `rados_osd_op_timeout` bounds how long that can take.

Examples
--------
>>> image.write(b"hello", 0)
5
>>> image.read(0, 5)
b'hello'

Implements: rbd_read, rbd_read2)"},
        {"readinto", function(readinto), with_keywords,
         "readinto($self, buffer, offset, fadvise_flags=0)\n--\n\n"
         R"(Read bytes from the image into memory that is there already, without a copy.

Parameters
----------
buffer
    Where the bytes go: any writable C-contiguous buffer, such as a bytearray or a numpy array.
    Its size is how many bytes are read.
offset
    Where to begin, in bytes.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The number of bytes read. It is less than the size of the buffer only at the end of the image.

Raises
------
InvalidArgument
    `offset` is beyond the end of the image, or the image is closed.
IOError
    The cluster could not read.
TypeError
    `buffer` is not a buffer, or is read-only.
BufferError
    `buffer` is not contiguous.

Examples
--------
>>> buffer = bytearray(4096)
>>> image.readinto(buffer, 0)
4096

Implements: rbd_read, rbd_read2)"},
        {"write", function(write), with_keywords,
         "write($self, data, offset, fadvise_flags=0)\n--\n\n"
         R"(Write bytes to the image, without a copy.

Parameters
----------
data
    The bytes: any C-contiguous buffer, such as bytes, a memoryview, an mmap or a numpy array.
offset
    Where to begin, in bytes.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The number of bytes written.

Raises
------
IncompleteWriteError
    The data goes past the end of the image; what is before the end was written.
InvalidArgument
    `offset` is at the end of the image or beyond, or the image is closed.
ReadOnlyImage
    The image is open for reading alone, or another client keeps the exclusive lock.
TypeError
    `data` is not a buffer.
BufferError
    `data` is not contiguous.

Notes
-----
librbd's cache may hold the data back until `flush` or `close`.

Examples
--------
>>> image.write(b"hello", 0)
5

Implements: rbd_write, rbd_write2)"},
        {"size", size, METH_NOARGS,
         "size($self)\n--\n\n"
         R"(Return the size of the image.

Returns
-------
Bytes. With encryption loaded, the header does not count.

Examples
--------
>>> image.size()
67108864

Implements: rbd_get_size)"},
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
