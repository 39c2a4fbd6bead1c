#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <exception>

#include <rbdxx/io.hpp>

#include "support/bindings.hpp"
#include "support/buffer.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/fastcall.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// librbd calls back in the thread that called it, so that the GIL is that thread's to take again.
void read_iterate(const PyImage& self, const U64& offset, const U64& length,
                  const py::object& callback) {
    if (PyCallable_Check(callback.ptr()) == 0) {
        throw py::type_error("callback must be callable, not " + type_of(callback));
    }
    std::exception_ptr raised;
    PyThreadState* const state = PyThreadState_Get();
    auto visit = [&](uint64_t at, const char* data, std::size_t size) {
        GilReacquire acquire(state);
        CallbackScope scope;
        try {
            py::object piece = data != nullptr ? py::object(py::bytes(data, size)) : py::none();
            py::object returned = callback(at, size, piece);
            return returned.is_none() ? 0 : std::min(convert_flags(returned), 0);
        } catch (...) {
            raised = std::current_exception();
            return -ECANCELED;
        }
    };
    try {
        without_gil([&] { io::read_iterate(self, offset, length, visit); });
    } catch (const Error&) {
        if (!raised) {
            throw;
        }
    }
    if (raised) {
        std::rethrow_exception(raised);
    }
}

}  // namespace

void bind_io(ImageClass& image) {
    bind_fastcall(image);
    define(
        image, "discard",
        [](const PyImage& self, const U64& offset, const U64& length) {
            without_gil([&] { io::discard(self, offset, length); });
        },
        "Frees `length` bytes from `offset`, which then read as zeroes; librbd leaves out the "
        "parts that\n"
        "do not fill rbd_discard_granularity_bytes (64 KiB).\n\n"
        "Implements: rbd_discard",
        py::arg("offset"), py::arg("length"));
    define(
        image, "write_zeroes",
        [](const PyImage& self, const U64& offset, const U64& length, const Flags& zero_flags) {
            without_gil([&] { io::write_zeroes(self, offset, length, zero_flags); });
        },
        "Writes zeroes over `length` bytes from `offset`.\n\n"
        "zero_flags: RBD_WRITE_ZEROES_FLAG_*.\n\nImplements: rbd_write_zeroes",
        py::arg("offset"), py::arg("length"), py::arg("zero_flags") = 0);
    define(
        image, "read_iterate", read_iterate,
        "Calls callback(offset, length, data) for each piece of the region, in order.\n\n"
        "data is bytes, or None where the image has none and reads as zeroes. The callback returns "
        "None or\nan int; a negative one ends it and is raised as the exception of that errno, and "
        "what it raises is\nraised.\n\nImplements: rbd_read_iterate2",
        py::arg("offset"), py::arg("length"), py::arg("callback"));
    define(
        image, "write_same",
        [](const PyImage& self, const py::object& data, const U64& offset, const U64& length,
           const Flags& flags) {
            Buffer buffer(data, Buffer::Access::read);
            return without_gil([&] {
                return io::write_same(self, buffer.data(), buffer.size(), offset, length, flags);
            });
        },
        "Repeats `data` over `length` bytes from `offset`; length must be a multiple of its "
        "size.\n\n"
        "Gives how many bytes. Raises InvalidArgument.\n\nImplements: rbd_writesame",
        py::arg("data"), py::arg("offset"), py::arg("length"), py::kw_only(),
        py::arg("fadvise_flags") = 0);
    define(
        image, "compare_and_write",
        [](const PyImage& self, const py::object& compare, const py::object& data,
           const U64& offset, const Flags& flags) {
            Buffer expected(compare, Buffer::Access::read);
            Buffer buffer(data, Buffer::Access::read);
            if (expected.size() != buffer.size()) {
                throw py::value_error("compare and data must be of one size, not of " +
                                      std::to_string(expected.size()) + " and " +
                                      std::to_string(buffer.size()) + " bytes");
            }
            return without_gil([&] {
                return io::compare_and_write(self, expected.data(), buffer.data(), offset,
                                             buffer.size(), flags);
            });
        },
        "Writes `data` at `offset` where the image holds `compare`, atomically; gives how many "
        "bytes.\n\n"
        "Both are of one size, within one sector of 512 bytes. Raises CompareMismatch, whose "
        "offset\n"
        "tells where the first difference is, InvalidArgument, ValueError.\n\n"
        "Implements: rbd_compare_and_write",
        py::arg("compare"), py::arg("data"), py::arg("offset"), py::kw_only(),
        py::arg("fadvise_flags") = 0);
}

}  // namespace rbdxx::python
