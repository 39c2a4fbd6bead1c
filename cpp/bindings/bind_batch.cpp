#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <utility>

#include <rbdxx/batch.hpp>

#include "support/batch_request.hpp"
#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/work.hpp"

namespace rbdxx::python {

namespace {

// The time that the operations in flight have to complete after a signal handler has raised.
constexpr auto batch_patience = std::chrono::milliseconds(250);

// Runs a batch over the memory of its request. Raises what a signal handler raises.
py::object run(const Image& image, BatchRequest request) {
    if (request.plan->writes()) {
        request.plan->set_image_size(without_gil([&] { return image.size(); }));
    }
    auto work = std::make_unique<OnBuffers<batch::Batch>>(
        std::move(request.buffers), image, request.plan, request.depth, Callbacks::owner());
    do {
        while (!without_gil([&] { return work->run_for(signal_interval); })) {
            try {
                check_signals();
            } catch (py::error_already_set&) {
                without_gil([&] {
                    work->cancel();
                    work->wait_for(batch_patience);
                });
                abandon(std::move(work));
                throw;
            }
        }
    } while (without_gil([&] { return work->recover(); }));
    // Without the GIL, because the message says who owns the lock, and librbd may ask the cluster
    // for that.
    without_gil([&] { work->check(); });
    return request.answer();
}

py::object read_blocks(const PyImage& self, const py::object& offsets, const U64& block_size,
                       const py::object& out, const U64& queue_depth) {
    const Image& image = self.get();
    return run(image, read_blocks_request(offsets, block_size, out, queue_depth));
}

py::object write_blocks(const PyImage& self, const py::object& data, const py::object& offsets,
                        const U64& queue_depth) {
    const Image& image = self.get();
    return run(image, write_blocks_request(data, offsets, queue_depth));
}

py::object readv(const PyImage& self, const py::object& buffers, const U64& offset) {
    const Image& image = self.get();
    return run(image, readv_request(buffers, offset));
}

py::object writev(const PyImage& self, const py::object& buffers, const U64& offset) {
    const Image& image = self.get();
    return run(image, writev_request(buffers, offset));
}

}  // namespace

void bind_batch(ImageClass& image) {
    define(image, "readv", readv,
           R"(Read from the image into several buffers, one after the other.

Parameters
----------
buffers
    Writable C-contiguous buffers.
offset
    Where to begin, in bytes.

Returns
-------
The number of bytes read. It is less than the size of the buffers only at the end of the image.

Raises
------
InvalidArgument
    `offset` is beyond the end of the image, or the image is closed.
IOError
    The cluster could not read.
TypeError
    One of them is not a buffer, or is read-only.
BufferError
    One of them is not contiguous.

Examples
--------
>>> header, body = bytearray(512), bytearray(4096)
>>> image.readv([header, body], 0)
4608

Implements: rbd_aio_readv)",
           py::arg("buffers"), py::arg("offset"));
    define(image, "writev", writev,
           R"(Write several buffers to the image, one after the other.

Parameters
----------
buffers
    C-contiguous buffers.
offset
    Where to begin, in bytes.

Returns
-------
The number of bytes written.

Raises
------
IncompleteWriteError
    The data goes past the end of the image.
InvalidArgument
    `offset` is at the end of the image or beyond, or the image is closed.
ReadOnlyImage
    The image is open for reading alone, or another client keeps the exclusive lock.
TypeError
    One of them is not a buffer.
BufferError
    One of them is not contiguous.

Examples
--------
>>> image.writev([b"header", bytes(506), b"body"], 0)
516

Implements: rbd_aio_writev)",
           py::arg("buffers"), py::arg("offset"));
    define(image, "read_blocks", read_blocks,
           R"(Read many blocks of one size, with many reads in flight at once.

Parameters
----------
offsets
    Where each block begins, in bytes: a buffer of integers, such as a numpy array, or a
    sequence.
block_size
    The size of each block in bytes.
out
    Where the blocks go, one after the other: a writable buffer of `len(offsets) * block_size`
    bytes, such as an array of shape `(n, block_size)`. None means a new bytearray.
queue_depth
    How many reads are in flight at once.

Returns
-------
`out`, or the new bytearray.

Raises
------
InvalidArgument
    A block is not within the image.
TypeError
    An argument has the wrong type.
ValueError
    `out` has the wrong size, or a number is out of range.
BufferError
    `out` is not contiguous.
OverflowError
    An offset is negative.

Notes
-----
Everything about the arguments is checked before the first read. Then every block is tried, and
the exception of the first one that failed is raised, with its `.index` and `.offset`. Small
blocks whose offsets follow each other are read together, up to 64 KiB at a time.

Examples
--------
>>> blocks = image.read_blocks([0, 8192, 4096], 4096)
>>> len(blocks)
12288

Implements: rbd_aio_read)",
           py::arg("offsets"), py::arg("block_size"), py::arg("out") = py::none(), py::kw_only(),
           py::arg("queue_depth") = batch::default_depth);
    define(image, "write_blocks", write_blocks,
           R"(Write many blocks of one size, with many writes in flight at once.

Parameters
----------
data
    The blocks, one after the other: a C-contiguous buffer. Its size divided by `len(offsets)`
    is the size of a block.
offsets
    Where each block goes, in bytes: a buffer of integers, such as a numpy array, or a sequence.
queue_depth
    How many writes are in flight at once.

Returns
-------
The number of bytes written.

Raises
------
InvalidArgument
    A block begins at the end of the image or beyond.
IncompleteWriteError
    A block goes past the end of the image.
ValueError
    The data cannot be divided into that many blocks, or a number is out of range.

Notes
-----
Blocks that overlap are written in no particular order. Every block is tried. Then the exception
of the first one that failed is raised, with its `.index` and `.offset`. Small blocks whose
offsets follow each other are written together, up to 64 KiB at a time.

Examples
--------
>>> image.write_blocks(bytes(3 * 4096), [0, 8192, 4096])
12288

Implements: rbd_aio_write)",
           py::arg("data"), py::arg("offsets"), py::kw_only(),
           py::arg("queue_depth") = batch::default_depth);
}

}  // namespace rbdxx::python
