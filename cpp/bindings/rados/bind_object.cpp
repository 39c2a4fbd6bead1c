#include <pybind11/stl.h>

#include <rbdxx/rados/object.hpp>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// A comparison that failed at the first byte is told by this code, one byte on by the next.
constexpr int64_t max_errno = 4095;
constexpr uint64_t usual_length = 8192;

// The calls whose cost would be the binding's: plain CPython methods.

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
            // No object is as long.
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
         "Read up to `length` bytes of an object from `offset`, as bytes.\n\n"
         "Fewer come only at the end of the object. Raises ObjectNotFound.\n\n"
         "Implements: rados_read"},
        {"readinto", fast::function(read_object_into), fast::with_keywords,
         "readinto($self, key, buffer, offset=0)\n--\n\n"
         "Read into a writable C-contiguous buffer, as many bytes as it has.\n\n"
         "Returns the number of bytes read: fewer come only at the end of the object. Raises "
         "ObjectNotFound,\nTypeError for a read-only buffer, BufferError for one that is not "
         "contiguous.\n\nImplements: rados_read"},
        {"write", fast::function(write_object), fast::with_keywords,
         "write($self, key, data, offset=0)\n--\n\n"
         "Write the bytes of a C-contiguous buffer to an object, at `offset`. Returns 0.\n\n"
         "Makes the object if it is not there. Raises TypeError for what is no buffer.\n\n"
         "Implements: rados_write"},
        {"write_full", fast::function(write_object_full), fast::with_keywords,
         "write_full($self, key, data)\n--\n\n"
         "Replace an object's whole content by the bytes of a C-contiguous buffer. Returns 0.\n\n"
         "Implements: rados_write_full"},
        {"append", fast::function(append_to_object), fast::with_keywords,
         "append($self, key, data)\n--\n\n"
         "Write the bytes of a C-contiguous buffer after an object's end. Returns 0.\n\n"
         "Implements: rados_append"},
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
    // More than it has room for is an error of the call's.
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
        "Repeat the bytes of a buffer over `write_len` bytes of an object, from `offset`.\n\n"
        "write_len must be a multiple of the buffer's size. Raises InvalidArgumentError.\n\n"
        "Implements: rados_writesame",
        py::arg("key"), py::arg("data"), py::arg("write_len"), py::arg("offset") = 0);
    define(
        ioctx, "trunc",
        [](const IoCtx& self, const Name& key, const U64& size) {
            without_gil([&] { topics::object::truncate(self, key, size); });
            return 0;
        },
        "Cut an object to `size` bytes, or have it grow with zeroes. Returns 0.\n\n"
        "Implements: rados_trunc",
        py::arg("key"), py::arg("size"));
    define(
        ioctx, "remove_object",
        [](const IoCtx& self, const Name& key) {
            without_gil([&] { topics::object::remove(self, key); });
            return true;
        },
        "Remove an object. Returns True. Raises ObjectNotFound.\n\nImplements: rados_remove",
        py::arg("key"));
    define(
        ioctx, "stat", status_of,
        "Return an object's size in bytes and when it was modified, as time.localtime() does.\n\n"
        "Raises ObjectNotFound.\n\nImplements: rados_stat",
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
        "Compare the bytes of an object from `offset` with those of a buffer.\n\n"
        "Returns 0 if they are equal, else -MAX_ERRNO minus the number of equal bytes before the "
        "first difference.\n\n"
        "Implements: rados_cmpext",
        py::arg("key"), py::arg("cmp_buf"), py::arg("offset") = 0);
    define(ioctx, "execute", execute,
           "Run a method of an object class, which the OSDs have loaded, on an object.\n\n"
           "length: how many bytes of output there is room for. Returns (the method's return "
           "value, its output).\n\nImplements: rados_exec",
           py::arg("key"), py::arg("cls"), py::arg("method"), py::arg("data"),
           py::arg("length") = usual_length);
}

}  // namespace rbdxx::python::rados
