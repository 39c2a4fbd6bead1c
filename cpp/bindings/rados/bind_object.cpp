#include <pybind11/stl.h>

#include <rbdxx/rados/object.hpp>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// A comparison that differs at the first byte returns this code, at the second byte the code plus
// one, and so on.
constexpr int64_t max_errno = 4095;
constexpr uint64_t usual_length = 8192;

// Plain CPython methods, for the calls that pybind11's dispatch would make noticeably slower.

constexpr fast::Parameters<3> object_read{"read", {"key", "length", "offset"}, 1};
constexpr fast::Parameters<3> object_readinto{"readinto", {"key", "buffer", "offset"}, 2};
constexpr fast::Parameters<3> object_write{"write", {"key", "data", "offset"}, 2};
constexpr fast::Parameters<2> object_write_full{"write_full", {"key", "data"}, 2};
constexpr fast::Parameters<2> object_append{"append", {"key", "data"}, 2};

PyObject* read_object(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* keywords) {
    return fast::with_arguments(
        object_read, arguments, count, keywords, [&](PyObject* const* found) {
            const auto& ioctx = fast::value_of<const IoCtx>(self);
            const std::string key = convert_name(found[0]);
            uint64_t length = fast::number_or(found[1], usual_length);
            const uint64_t offset = fast::number_or(found[2], 0);
            // No object is that long.
            length = length < topics::object::most_bytes ? length : topics::object::most_bytes;
            NewBytes bytes(length);
            const std::size_t done = without_gil(
                [&] { return topics::object::read(ioctx, key, bytes.data(), length, offset); });
            return bytes.take(done).release().ptr();
        });
}

PyObject* read_object_into(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                           PyObject* keywords) {
    return fast::with_arguments(
        object_readinto, arguments, count, keywords, [&](PyObject* const* found) {
            const auto& ioctx = fast::value_of<const IoCtx>(self);
            const std::string key = convert_name(found[0]);
            Buffer buffer(found[1], Buffer::Access::write);
            const uint64_t offset = fast::number_or(found[2], 0);
            return PyLong_FromSize_t(without_gil([&] {
                return topics::object::read(ioctx, key, buffer.data(), buffer.size(), offset);
            }));
        });
}

PyObject* write_object(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                       PyObject* keywords) {
    return fast::with_arguments(
        object_write, arguments, count, keywords, [&](PyObject* const* found) {
            const auto& ioctx = fast::value_of<const IoCtx>(self);
            const std::string key = convert_name(found[0]);
            Buffer buffer(found[1], Buffer::Access::read);
            const uint64_t offset = fast::number_or(found[2], 0);
            without_gil(
                [&] { topics::object::write(ioctx, key, buffer.data(), buffer.size(), offset); });
            return PyLong_FromLong(0);
        });
}

PyObject* write_object_full(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                            PyObject* keywords) {
    return fast::with_arguments(
        object_write_full, arguments, count, keywords, [&](PyObject* const* found) {
            const auto& ioctx = fast::value_of<const IoCtx>(self);
            const std::string key = convert_name(found[0]);
            Buffer buffer(found[1], Buffer::Access::read);
            without_gil(
                [&] { topics::object::write_full(ioctx, key, buffer.data(), buffer.size()); });
            return PyLong_FromLong(0);
        });
}

PyObject* append_to_object(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                           PyObject* keywords) {
    return fast::with_arguments(
        object_append, arguments, count, keywords, [&](PyObject* const* found) {
            const auto& ioctx = fast::value_of<const IoCtx>(self);
            const std::string key = convert_name(found[0]);
            Buffer buffer(found[1], Buffer::Access::read);
            without_gil([&] { topics::object::append(ioctx, key, buffer.data(), buffer.size()); });
            return PyLong_FromLong(0);
        });
}

void define_fast(IoctxClass& ioctx) {
    static PyMethodDef methods[] = {
        {"read", fast::function(read_object), fast::with_keywords,
         "read($self, key, length=8192, offset=0)\n--\n\n"
         R"(Read bytes of an object.

Parameters
----------
key
    The name of the object.
length
    The number of bytes to read. Fewer are read only at the end of the object.
offset
    Where to begin, in bytes.

Returns
-------
The bytes.

Raises
------
ObjectNotFound
    There is no such object.

Examples
--------
>>> ioctx.read("greeting")
b'hello'

Implements: rados_read)"},
        {"readinto", fast::function(read_object_into), fast::with_keywords,
         "readinto($self, key, buffer, offset=0)\n--\n\n"
         R"(Read bytes of an object into existing memory, without a copy.

Parameters
----------
key
    The name of the object.
buffer
    Where the bytes go: any writable C-contiguous buffer. Its size is the number of bytes to read.
offset
    Where to begin, in bytes.

Returns
-------
The number of bytes read. It is less than the size of the buffer only at the end of the object.

Raises
------
ObjectNotFound
    There is no such object.
TypeError
    `buffer` is not a buffer, or is read-only.
BufferError
    `buffer` is not contiguous.

Implements: rados_read)"},
        {"write", fast::function(write_object), fast::with_keywords,
         "write($self, key, data, offset=0)\n--\n\n"
         R"(Write bytes to an object, and create it if it does not exist.

Parameters
----------
key
    The name of the object.
data
    The bytes: any C-contiguous buffer.
offset
    Where to begin, in bytes.

Returns
-------
0.

Raises
------
TypeError
    `data` is not a buffer.

Examples
--------
>>> ioctx.write("greeting", b"J", 0)
0
>>> ioctx.read("greeting")
b'Jello'

Implements: rados_write)"},
        {"write_full", fast::function(write_object_full), fast::with_keywords,
         "write_full($self, key, data)\n--\n\n"
         R"(Replace the whole content of an object, and create it if it does not exist.

Parameters
----------
key
    The name of the object.
data
    The bytes: any C-contiguous buffer.

Returns
-------
0.

Raises
------
TypeError
    `data` is not a buffer.

Examples
--------
>>> ioctx.write_full("greeting", b"hello, world")
0

Implements: rados_write_full)"},
        {"append", fast::function(append_to_object), fast::with_keywords,
         "append($self, key, data)\n--\n\n"
         R"(Write bytes after the end of an object, and create it if it does not exist.

Parameters
----------
key
    The name of the object.
data
    The bytes: any C-contiguous buffer.

Returns
-------
0.

Raises
------
TypeError
    `data` is not a buffer.

Implements: rados_append)"},
    };
    fast::define(ioctx, methods);
}

py::tuple status_of(const IoCtx& self, const Name& key) {
    auto found = without_gil([&] { return topics::object::status(self, key); });
    return py::make_tuple(found.size,
                          py::module_::import("time").attr("localtime")(found.modified));
}

py::tuple execute(const IoCtx& self, const Name& key, const Name& cls, const Name& method,
                  const py::object& data, const U64& length) {
    Buffer input(data, Buffer::Access::read);
    NewBytes output(length);
    const int result = without_gil([&] {
        return topics::object::execute(self, key, cls, method, input.data(), input.size(),
                                       output.data(), length);
    });
    // If the output is larger than the buffer, the call itself has failed.
    return py::make_tuple(result, output.take(static_cast<uint64_t>(result)));
}

}  // namespace

void bind_object(IoctxClass& ioctx) {
    define_fast(ioctx);
    define(
        ioctx, "writesame",
        [](const IoCtx& self, const Name& key, const py::object& data, const U64& write_len,
           const U64& offset) {
            Buffer buffer(data, Buffer::Access::read);
            without_gil([&] {
                topics::object::write_same(self, key, buffer.data(), buffer.size(), write_len,
                                           offset);
            });
        },
        R"(Write the same bytes again and again over a region of an object.

Parameters
----------
key
    The name of the object.
data
    The bytes: any C-contiguous buffer.
write_len
    How many bytes to cover, a multiple of the size of `data`.
offset
    Where to begin, in bytes.

Raises
------
InvalidArgumentError
    `write_len` is not a multiple of the size of `data`.

Implements: rados_writesame)",
        py::arg("key"), py::arg("data"), py::arg("write_len"), py::arg("offset") = 0);
    define(
        ioctx, "trunc",
        [](const IoCtx& self, const Name& key, const U64& size) {
            without_gil([&] { topics::object::truncate(self, key, size); });
            return 0;
        },
        R"(Change the size of an object: cut it, or let it grow with zeroes.

Parameters
----------
key
    The name of the object.
size
    The new size in bytes.

Returns
-------
0.

Implements: rados_trunc)",
        py::arg("key"), py::arg("size"));
    define(
        ioctx, "remove_object",
        [](const IoCtx& self, const Name& key) {
            without_gil([&] { topics::object::remove(self, key); });
            return true;
        },
        R"(Remove an object.

Parameters
----------
key
    The name of the object.

Returns
-------
True.

Raises
------
ObjectNotFound
    There is no such object.

Examples
--------
>>> ioctx.remove_object("greeting")
True

Implements: rados_remove)",
        py::arg("key"));
    define(ioctx, "stat", status_of,
           R"(Return the size and the time of an object.

Parameters
----------
key
    The name of the object.

Returns
-------
`(size, time)`: the size in bytes, and the time of the last change as `time.localtime` returns it.

Raises
------
ObjectNotFound
    There is no such object.

Examples
--------
>>> size, modified = ioctx.stat("greeting")
>>> size
5

Implements: rados_stat)",
           py::arg("key"));
    define(
        ioctx, "cmpext",
        [](const IoCtx& self, const Name& key, const py::object& cmp_buf, const U64& offset) {
            Buffer buffer(cmp_buf, Buffer::Access::read);
            auto found = without_gil([&] {
                return topics::object::compare(self, key, buffer.data(), buffer.size(), offset);
            });
            return found.equal ? 0 : -max_errno - static_cast<int64_t>(found.offset);
        },
        R"(Compare bytes of an object with those of a buffer.

Parameters
----------
key
    The name of the object.
cmp_buf
    The buffer.
offset
    Where to begin in the object, in bytes.

Returns
-------
0 if they are equal, else -MAX_ERRNO minus the number of equal bytes before the first
difference.

Implements: rados_cmpext)",
        py::arg("key"), py::arg("cmp_buf"), py::arg("offset") = 0);
    define(ioctx, "execute", execute,
           R"(Run a method of an object class, which the OSDs have loaded, on an object.

Parameters
----------
key
    The name of the object.
cls
    The object class.
method
    The method.
data
    The input of the method: any buffer.
length
    How many bytes of output there is room for.

Returns
-------
`(result, output)`: what the method returned, and bytes.

Implements: rados_exec)",
           py::arg("key"), py::arg("cls"), py::arg("method"), py::arg("data"),
           py::arg("length") = usual_length);
}

}  // namespace rbdxx::python::rados
