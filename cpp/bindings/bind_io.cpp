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

// librbd calls back in the thread that called it, so that thread may take the GIL again.
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
        R"(Free a region, which reads as zeroes afterwards.

librbd leaves out the parts of the region that do not fill `rbd_discard_granularity_bytes` (64
KiB). `write_zeroes` leaves nothing out.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.

Raises
------
InvalidArgument
    The region begins beyond the end of the image.
ReadOnlyImage
    The image is open for reading alone.

Examples
--------
>>> image.discard(0, 4 << 20)

Implements: rbd_discard)",
        py::arg("offset"), py::arg("length"));
    define(
        image, "write_zeroes",
        [](const PyImage& self, const U64& offset, const U64& length, const Flags& zero_flags) {
            without_gil([&] { io::write_zeroes(self, offset, length, zero_flags); });
        },
        R"(Write zeroes over a region. Whole objects are freed.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.
zero_flags
    The sum of `RBD_WRITE_ZEROES_FLAG_*` bits.

Raises
------
ReadOnlyImage
    The image is open for reading alone.

Examples
--------
>>> image.write_zeroes(0, 4096)

Implements: rbd_write_zeroes)",
        py::arg("offset"), py::arg("length"), py::arg("zero_flags") = 0);
    define(image, "read_iterate", read_iterate,
           R"(Call a function for each piece of a region, in order.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.
callback
    `callback(offset, length, data)`. The data is bytes, or None if the image has none there and
    reads as zeroes. It returns None or an int. A negative int ends the iteration, and the
    exception of that errno is raised. What it raises is raised, too.

Raises
------
InvalidArgument
    The region begins beyond the end of the image.

Implements: rbd_read_iterate2)",
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
        R"(Write the same data again and again over a region.

Parameters
----------
data
    The bytes: any C-contiguous buffer.
offset
    Where to begin, in bytes.
length
    How many bytes to cover, a multiple of the size of `data`.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The number of bytes written.

Raises
------
InvalidArgument
    `length` is not a multiple of the size of `data`.
ReadOnlyImage
    The image is open for reading alone.

Examples
--------
>>> image.write_same(bytes(512), 0, 1 << 20)
1048576

Implements: rbd_writesame)",
        py::arg("data"), py::arg("offset"), py::arg("length"), py::kw_only(),
        py::arg("fadvise_flags") = 0);
    define(
        image, "compare_and_write",
        [](const PyImage& self, const py::object& compare, const py::object& data,
           const U64& offset, const Flags& flags) {
            Buffer expected(compare, Buffer::Access::read);
            Buffer buffer(data, Buffer::Access::read);
            if (expected.size() != buffer.size()) {
                throw py::value_error("compare and data must have the same size, not " +
                                      std::to_string(expected.size()) + " and " +
                                      std::to_string(buffer.size()) + " bytes");
            }
            return without_gil([&] {
                return io::compare_and_write(self, expected.data(), buffer.data(), offset,
                                             buffer.size(), flags);
            });
        },
        R"(Write data if the image holds what is expected, atomically.

Parameters
----------
compare
    What is expected: any C-contiguous buffer.
data
    The new bytes: a buffer of the same size. Both lie within one sector of 512 bytes.
offset
    Where both begin, in bytes.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The number of bytes written.

Raises
------
CompareMismatch
    The image holds something else; `.offset` says where the first difference is.
InvalidArgument
    The region is not within one sector.
ValueError
    The buffers are not of the same size.

Examples
--------
>>> image.compare_and_write(bytes(8), b"owner-01", 0)
8

Implements: rbd_compare_and_write)",
        py::arg("compare"), py::arg("data"), py::arg("offset"), py::kw_only(),
        py::arg("fadvise_flags") = 0);
}

}  // namespace rbdxx::python
