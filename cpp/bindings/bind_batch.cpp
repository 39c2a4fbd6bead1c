#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/batch.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/offsets.hpp"
#include "support/work.hpp"

namespace rbdxx::python {

namespace {

// How long the operations in flight may take to complete once a signal handler has raised.
constexpr auto batch_patience = std::chrono::milliseconds(250);

uint64_t checked_depth(uint64_t depth) {
    if (depth == 0 || depth > batch::max_depth) {
        throw py::value_error("queue_depth must be 1 to " + std::to_string(batch::max_depth));
    }
    return depth;
}

// Runs `plan` over the memory of `buffers`, which it takes; raises what a signal handler raises.
void run(const Image& image, const std::shared_ptr<batch::Plan>& plan, uint64_t depth,
         std::vector<Buffer> buffers) {
    auto work = std::make_unique<OnBuffers<batch::Batch>>(std::move(buffers), image, plan, depth,
                                                          Callbacks::owner());
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
    // An error says who has the lock, which is asked for.
    without_gil([&] { work->check(); });
}

// A memory error for what no memory can hold.
uint64_t total(uint64_t count, uint64_t length) {
    if (length != 0 && count > static_cast<uint64_t>(PY_SSIZE_T_MAX) / length) {
        PyErr_NoMemory();
        throw py::error_already_set();
    }
    return count * length;
}

py::object new_bytearray(uint64_t size) {
    auto made = py::reinterpret_steal<py::object>(
        PyByteArray_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
    if (!made) {
        throw py::error_already_set();
    }
    return made;
}

py::object read_blocks(const PyImage& self, const py::object& offsets, const U64& block_size,
                       const py::object& out, const U64& queue_depth) {
    const Image& image = self.get();
    uint64_t depth = checked_depth(queue_depth);
    if (block_size == 0) {
        throw py::value_error("block_size must not be 0");
    }
    std::vector<uint64_t> places = convert_offsets(offsets);
    uint64_t size = total(places.size(), block_size);
    py::object target = out.is_none() ? new_bytearray(size) : out;
    std::vector<Buffer> buffers;
    buffers.emplace_back(target, Buffer::Access::write);
    if (buffers[0].size() != size) {
        throw py::value_error("out has " + std::to_string(buffers[0].size()) + " bytes, but " +
                              std::to_string(places.size()) + " blocks have " +
                              std::to_string(size));
    }
    auto plan = batch::Blocks::read(buffers[0].data(), std::move(places), block_size);
    run(image, plan, depth, std::move(buffers));
    return target;
}

uint64_t write_blocks(const PyImage& self, const py::object& data, const py::object& offsets,
                      const U64& queue_depth) {
    const Image& image = self.get();
    uint64_t depth = checked_depth(queue_depth);
    std::vector<uint64_t> places = convert_offsets(offsets);
    std::vector<Buffer> buffers;
    buffers.emplace_back(data, Buffer::Access::read);
    uint64_t size = buffers[0].size();
    if (places.empty() ? size != 0 : size == 0 || size % places.size() != 0) {
        throw py::value_error(std::to_string(size) + " bytes are not " +
                              std::to_string(places.size()) + " blocks of one size");
    }
    uint64_t block = places.empty() ? 0 : size / places.size();
    const char* from = buffers[0].data();
    auto plan =
        without_gil([&] { return batch::Blocks::write(image, from, std::move(places), block); });
    run(image, plan, depth, std::move(buffers));
    return size;
}

uint64_t readv(const PyImage& self, const py::object& buffers, const U64& offset) {
    const Image& image = self.get();
    auto targets = all_buffers(buffers, Buffer::Access::write);
    auto plan = std::make_shared<batch::Vectors>(vectors_of(targets), offset);
    run(image, plan, batch::default_depth, std::move(targets));
    return plan->done();
}

uint64_t writev(const PyImage& self, const py::object& buffers, const U64& offset) {
    const Image& image = self.get();
    auto sources = all_buffers(buffers, Buffer::Access::read);
    auto vectors = vectors_of(sources);
    auto plan = without_gil(
        [&] { return std::make_shared<batch::Vectors>(image, std::move(vectors), offset); });
    run(image, plan, batch::default_depth, std::move(sources));
    return plan->done();
}

}  // namespace

void bind_batch(ImageClass& image) {
    define(
        image, "readv", readv,
        "Reads from `offset` into a sequence of writable buffers, one after the other; gives how "
        "many\nbytes came.\n\n"
        "Fewer come only at the end of the image. Raises as readinto does.\n\n"
        "Implements: rbd_aio_readv",
        py::arg("buffers"), py::arg("offset"));
    define(
        image, "writev", writev,
        "Writes a sequence of buffers at `offset`, one after the other; gives how many bytes.\n\n"
        "Raises as write does.\n\nImplements: rbd_aio_writev",
        py::arg("buffers"), py::arg("offset"));
    define(image, "read_blocks", read_blocks,
           "Reads a block of `block_size` bytes from each of `offsets`, many at a time.\n\n"
           "offsets: a buffer of integers (a numpy array, say) or a sequence. out: a writable "
           "buffer of\nlen(offsets) * block_size bytes, such as an array of shape (n, block_size); "
           "None makes a\nbytearray. Gives it. queue_depth: how many are in flight at once.\n\n"
           "Every block is tried. Then the exception of the first that failed is raised, with its "
           "index\nand offset; InvalidArgument for a block that is not within the image. All else "
           "is checked\nbefore the first read: TypeError, ValueError, BufferError, "
           "OverflowError.\n\nImplements: rbd_aio_read",
           py::arg("offsets"), py::arg("block_size"), py::arg("out") = py::none(), py::kw_only(),
           py::arg("queue_depth") = batch::default_depth);
    define(image, "write_blocks", write_blocks,
           "Writes the blocks of `data`, one after the other in memory, each at its offset.\n\n"
           "offsets: a buffer of integers or a sequence. A block has nbytes(data) / len(offsets) "
           "bytes,\nexact and not 0, else ValueError. Blocks that overlap are written in no "
           "particular order.\nGives how many bytes. queue_depth: how many are in flight at "
           "once.\n\n"
           "Every block is tried. Then the exception of the first that failed is raised, with its "
           "index\nand offset: InvalidArgument beyond the end of the image, IncompleteWriteError "
           "across it.\n\nImplements: rbd_aio_write",
           py::arg("data"), py::arg("offsets"), py::kw_only(),
           py::arg("queue_depth") = batch::default_depth);
}

}  // namespace rbdxx::python
