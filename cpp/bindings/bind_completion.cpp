#include <pybind11/stl.h>

#include <cerrno>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include <rbdxx/aio.hpp>
#include <rbdxx/constants.hpp>
#include <rbdxx/io.hpp>

#include "support/bindings.hpp"
#include "support/buffer.hpp"
#include "support/collected.hpp"
#include "support/completion.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/mirrored.hpp"

namespace rbdxx::python {

namespace {

struct ReadCompletion final : Completion {
    explicit ReadCompletion(uint64_t size) : bytes(size) {}
    py::object answer() override {
        if (result() < 0) {
            return py::none();
        }
        return bytes.take(static_cast<uint64_t>(result()));
    }
    NewBytes bytes;
};

struct WriteCompletion final : Completion {
    explicit WriteCompletion(const py::object& data) : buffer(data, Buffer::Access::read) {}
    void release() override { buffer.release(); }
    Buffer buffer;
};

struct OpenCompletion final : Completion {
    explicit OpenCompletion(PyImage& target)
        : image(target), cluster(target.ioctx().ioctx->use().state().cluster) {
        never_wait();  // it is submitted with the GIL
    }
    // The owner is the Python image.
    py::object answer() override {
        if (result() == 0) {
            image.adopt(raw, std::move(cluster));
        }
        return owner();
    }
    PyImage& image;
    std::shared_ptr<ClusterState> cluster;
    abi::rbd_image_t raw = nullptr;
};

py::object aio_read(const py::object& self, const U64& offset, const U64& length,
                    const py::object& oncomplete, const Flags& flags) {
    uint64_t wanted = memory_for(self.cast<const PyImage&>().get(), offset, length);
    return submit_on(std::make_unique<ReadCompletion>(wanted), self, oncomplete,
                     [&](ReadCompletion& made, engine::QueuePointer queue, const Image& image) {
                         aio::read(made, std::move(queue), image, made.bytes.data(), offset, wanted,
                                   flags);
                     });
}

py::object aio_write(const py::object& self, const py::object& data, const U64& offset,
                     const py::object& oncomplete, const Flags& flags) {
    auto completion = std::make_unique<WriteCompletion>(data);
    auto write = [&made = *completion, offset = uint64_t{offset}, flags = int{flags}](
                     engine::QueuePointer queue, const Image& image) {
        aio::write(made, std::move(queue), image, made.buffer.data(), offset, made.buffer.size(),
                   flags);
    };
    return submit_write(std::move(completion), self, oncomplete, write);
}

struct CompareCompletion final : Completion {
    CompareCompletion(const py::object& compare, const py::object& data)
        : expected(all_buffers(compare, Buffer::Access::read)),
          buffers(all_buffers(data, Buffer::Access::read)) {}
    py::object answer() override {
        return result() == -EILSEQ ? py::object(py::int_(difference->place(mismatch))) : py::none();
    }
    void release() override {
        expected.clear();
        buffers.clear();
    }
    std::vector<Buffer> expected;
    std::vector<Buffer> buffers;
    uint64_t mismatch = 0;
    std::optional<io::Difference> difference;
};

py::object aio_compare_and_writev(const py::object& self, const py::object& compare,
                                  const py::object& data, const U64& offset,
                                  const py::object& oncomplete, const Flags& flags) {
    auto completion = std::make_unique<CompareCompletion>(compare, data);
    std::vector<iovec> expected = vectors_of(completion->expected);
    std::vector<iovec> vectors = vectors_of(completion->buffers);
    auto size_of = [](const std::vector<iovec>& all) {
        return std::accumulate(all.begin(), all.end(), uint64_t{0},
                               [](uint64_t sum, const iovec& one) { return sum + one.iov_len; });
    };
    const uint64_t size = size_of(vectors);
    if (size_of(expected) != size) {
        throw py::value_error("compare and data must have the same size");
    }
    auto write = [&made = *completion, expected = std::move(expected), vectors = std::move(vectors),
                  size, offset = uint64_t{offset},
                  flags = int{flags}](engine::QueuePointer queue, const Image& on) {
        made.difference.emplace(on, offset, size);
        aio::compare_and_writev(made, std::move(queue), on, expected.data(),
                                static_cast<int>(expected.size()), vectors.data(),
                                static_cast<int>(vectors.size()), offset, &made.mismatch, flags);
    };
    return submit_write(std::move(completion), self, oncomplete, std::move(write));
}

py::object aio_close(const py::object& self, const py::object& oncomplete) {
    auto& image = self.cast<PyImage&>();
    if (image.abandon_if_disconnected()) {
        throw DisconnectedError("the connection of " + image.options().describe() +
                                " is shut down");
    }
    return submit_plain(self, oncomplete,
                        [](Completion& made, engine::QueuePointer queue, const Image& open) {
                            aio::close(made, std::move(queue), open);
                        });
}

}  // namespace

py::object open_later(const py::object& image, PyImage& target, const py::object& oncomplete) {
    auto completion = std::make_unique<OpenCompletion>(target);
    OpenCompletion& made = *completion;
    return submit(std::move(completion), image, oncomplete, [&] {
        // With the GIL: librbd only queues the request here. Without the GIL, a callback could get
        // an object that Python has not finished making.
        aio::open(made, Callbacks::get().queue(), target.ioctx(), target.options(), &made.raw);
    });
}

void bind_completion(py::module_& m, RbdClass& rbd, ImageClass& image) {
    m.def("_run_callbacks", [] { Callbacks::get().run(); });
    m.def("_stop_callbacks", [] { Callbacks::stop(); });
    // Also without asynchronous calls, because a close must know that the interpreter is ending.
    py::module_::import("atexit").attr("register")(m.attr("_stop_callbacks"));
    // Once in a process, for all of its interpreters.
    [[maybe_unused]] static const int registered = Py_AtExit(let_calls_end);

    py::class_<Completion> completions(
        m, "Completion", "An asynchronous call under way, which the aio_* methods return.",
        collected<Completion>());
    define(
        completions, "is_complete", [](const Completion& self) { return self.complete_for_good(); },
        R"(Return whether the call is complete. Its callback may still be running.

Returns
-------
True if it is.)");
    define(
        completions, "get_return_value", [](const Completion& self) { return self.return_value(); },
        R"(Return the result of the call.

Returns
-------
The bytes read, 0, or a negative error number; 0 while the call is under way.

Implements: rbd_aio_get_return_value)");
    define(
        completions, "wait_for_complete_and_cb", [](Completion& self) { self.wait(); },
        R"(Wait until the call is complete and its callback has run. What the callback raised is raised.

Notes
-----
Inside a callback, it runs the callbacks of other calls meanwhile.)");

    define(image, "aio_read", aio_read,
           R"(Read bytes without waiting for them.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes to read. A read across the end of the image returns fewer.
oncomplete
    `oncomplete(completion, data)`, called in the thread of callbacks. The data is bytes, or
    None if the read failed; the completion's return value says why. None means no callback.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The completion of the call.

Examples
--------
>>> received = []
>>> completion = image.aio_read(0, 4096, lambda completion, data: received.append(data))
>>> completion.wait_for_complete_and_cb()
>>> len(received[0])
4096

Implements: rbd_aio_read, rbd_aio_read2)",
           py::arg("offset"), py::arg("length"), py::arg("oncomplete"),
           py::arg("fadvise_flags") = 0);
    define(image, "aio_write", aio_write,
           R"(Write bytes without waiting.

What goes past the end of the image is left out silently.

Parameters
----------
data
    The bytes: any C-contiguous buffer. It must not change until the call is complete.
offset
    Where to begin, in bytes.
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The completion of the call.

Examples
--------
>>> completion = image.aio_write(b"hello", 0, None)
>>> completion.wait_for_complete_and_cb()
>>> completion.get_return_value()
0

Implements: rbd_aio_write, rbd_aio_write2)",
           py::arg("data"), py::arg("offset"), py::arg("oncomplete"), py::arg("fadvise_flags") = 0);
    define(
        image, "aio_discard",
        [](const py::object& self, const U64& offset, const U64& length,
           const py::object& oncomplete) {
            auto completion = std::make_unique<Completion>();
            auto write = [&made = *completion, offset = uint64_t{offset},
                          length = uint64_t{length}](engine::QueuePointer queue, const Image& on) {
                aio::discard(made, std::move(queue), on, offset, length);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Free a region without waiting, as `discard` does.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.

Returns
-------
The completion of the call.

Implements: rbd_aio_discard)",
        py::arg("offset"), py::arg("length"), py::arg("oncomplete"));
    define(
        image, "aio_write_zeroes",
        [](const py::object& self, const U64& offset, const U64& length,
           const py::object& oncomplete, const Flags& zero_flags) {
            auto completion = std::make_unique<Completion>();
            auto write = [&made = *completion, offset = uint64_t{offset}, length = uint64_t{length},
                          flags = int{zero_flags}](engine::QueuePointer queue, const Image& on) {
                aio::write_zeroes(made, std::move(queue), on, offset, length, flags);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Write zeroes over a region without waiting.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.
zero_flags
    The sum of `RBD_WRITE_ZEROES_FLAG_*` bits.

Returns
-------
The completion of the call.

Implements: rbd_aio_write_zeroes)",
        py::arg("offset"), py::arg("length"), py::arg("oncomplete"), py::arg("zero_flags") = 0);
    define(
        image, "aio_flush",
        [](const py::object& self, const py::object& oncomplete) {
            auto completion = std::make_unique<Completion>();
            auto flush = [&made = *completion](engine::QueuePointer queue, const Image& on) {
                aio::flush(made, std::move(queue), on);
            };
            return submit_write(std::move(completion), self, oncomplete, flush);
        },
        R"(Make every write that has completed safe, without waiting.

Parameters
----------
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.

Returns
-------
The completion of the call.

Implements: rbd_aio_flush)",
        py::arg("oncomplete"));
    define(
        image, "aio_close", aio_close,
        R"(Close the image without waiting. librbd closes it once the calls under way have completed.

Parameters
----------
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.

Returns
-------
The completion of the call.

Notes
-----
Later calls on the image raise `InvalidArgument`. The completion has an error if data that was
written cannot be saved; the image is closed all the same.

Implements: rbd_aio_close)",
        py::arg("oncomplete"));

    define(
        image, "set_image_notification",
        [](const PyImage& self, const Flags& fd, const Flags& type) {
            without_gil([&] { aio::set_notification(self, fd, type); });
        },
        R"(Make librbd signal a file descriptor for each asynchronous call that completes, beside its
callback.

That holds for reads, writes and flushes of the image. The program must then call
`poll_io_events` regularly, because librbd keeps what it has signalled until then.

Parameters
----------
fd
    The descriptor. It stays the caller's.
type
    `EVENT_TYPE_EVENTFD`, or `EVENT_TYPE_PIPE` for the writing end of a pipe.

Raises
------
InvalidArgument
    librbd does not accept the type or the descriptor.

Implements: rbd_set_image_notification)",
        py::arg("fd"), py::arg("type") = static_cast<int>(constants::EVENT_TYPE_EVENTFD));
    define(
        image, "poll_io_events",
        [](const PyImage& self, const Flags& limit) {
            if (limit < 1) {
                throw py::value_error("limit must be at least 1, not " +
                                      std::to_string(int{limit}));
            }
            return without_gil([&] { return aio::poll_events(self, limit); });
        },
        R"(Return how many asynchronous calls have completed since the last time.

Parameters
----------
limit
    The largest number to return.

Returns
-------
The number.

Raises
------
InvalidArgument
    `set_image_notification` was not called.

Implements: rbd_poll_io_events)",
        py::arg("limit") = 1024);
    define_gated(
        image, "rbd_aio_compare_and_writev", "aio_compare_and_writev", aio_compare_and_writev,
        R"(Write buffers if the image holds what is expected, atomically and without waiting.

Parameters
----------
compare
    What is expected: a list of buffers.
data
    The new bytes: a list of buffers of the same size in all.
offset
    Where both begin, in bytes.
oncomplete
    `oncomplete(completion, offset)`, called in the thread of callbacks. The offset says where
    the first difference is, and the completion's return value is -EILSEQ then; else it is None.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The completion of the call.

Raises
------
ValueError
    The buffers are not of the same size in all.

Implements: rbd_aio_compare_and_writev)",
        py::arg("compare"), py::arg("data"), py::arg("offset"), py::arg("oncomplete"),
        py::arg("fadvise_flags") = 0);
    define_gated(
        image, "rbd_aio_write_with_crc32c", "aio_write_with_crc32c",
        [](const py::object& self, const py::object& data, const U64& offset, const U64& crc32c,
           const py::object& oncomplete, const Flags& flags) {
            if (crc32c > std::numeric_limits<uint32_t>::max()) {
                PyErr_SetString(PyExc_OverflowError, "crc32c must be less than 2**32");
                throw py::error_already_set();
            }
            auto completion = std::make_unique<WriteCompletion>(data);
            auto write = [&made = *completion, offset = uint64_t{offset},
                          crc = static_cast<uint32_t>(crc32c),
                          flags = int{flags}](engine::QueuePointer queue, const Image& on) {
                aio::write_with_crc32c(made, std::move(queue), on, made.buffer.data(), offset,
                                       made.buffer.size(), crc, flags);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Write bytes with their checksum without waiting, so that librbd need not compute it again.

Parameters
----------
data
    The bytes: any C-contiguous buffer. It must not change until the call is complete.
offset
    Where to begin, in bytes.
crc32c
    The CRC-32C of the data, begun with all bits set and not inverted at the end.
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.
fadvise_flags
    The sum of `rbd.rados.LIBRADOS_OP_FLAG_FADVISE_*` bits.

Returns
-------
The completion of the call.

Implements: rbd_aio_write_with_crc32c)",
        py::arg("data"), py::arg("offset"), py::arg("crc32c"), py::arg("oncomplete"),
        py::arg("fadvise_flags") = 0);

    define(
        rbd, "aio_open_image",
        [](const Rbd&, const py::object& oncomplete, const IoCtxArgument& ioctx,
           const std::optional<Name>& name, const std::optional<Name>& snapshot, bool read_only,
           const std::optional<Name>& image_id) {
            OpenOptions options = open_options(name, snapshot, read_only, image_id);
            auto target = std::make_unique<PyImage>(PyImage::Later{}, ioctx, options);
            PyImage& opened = *target;
            return open_later(py::cast(std::move(target)), opened, oncomplete);
        },
        R"(Open an image without waiting for it.

Parameters
----------
oncomplete
    `oncomplete(completion, image)`, called in the thread of callbacks. The image is closed if
    the opening failed; the completion's return value says why.
ioctx
    The pool, with its namespace.
name
    The name of the image; or give `image_id`.
snapshot
    The snapshot to open; None means the image itself.
read_only
    Open it for reading alone.
image_id
    The id of the image, in place of its name.

Returns
-------
The completion of the call.

Raises
------
InvalidArgument
    There is both a `name` and an `image_id`, or neither.
TypeError
    An argument has the wrong type.

Implements: rbd_aio_open, rbd_aio_open_read_only, rbd_aio_open_by_id,
rbd_aio_open_by_id_read_only)",
        py::arg("oncomplete"), py::arg("ioctx"), py::arg("name") = py::none(),
        py::arg("snapshot") = py::none(), py::arg("read_only") = false,
        py::arg("image_id") = py::none());
}

}  // namespace rbdxx::python
