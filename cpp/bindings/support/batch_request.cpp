#include "batch_request.hpp"

#include <string>
#include <utility>

#include "offsets.hpp"

namespace rbdxx::python {

namespace {

uint64_t checked_depth(uint64_t depth) {
    if (depth == 0 || depth > batch::max_depth) {
        throw py::value_error("queue_depth must be 1 to " + std::to_string(batch::max_depth));
    }
    return depth;
}

// Throws a memory error for a size that no memory can hold.
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

BatchRequest of_vectors(std::vector<Buffer> buffers, std::shared_ptr<batch::Vectors> plan) {
    BatchRequest made;
    made.buffers = std::move(buffers);
    made.answer = [plan] { return py::int_(plan->done()); };
    made.plan = std::move(plan);
    return made;
}

}  // namespace

BatchRequest read_blocks_request(const py::object& offsets, uint64_t block_size,
                                 const py::object& out, uint64_t queue_depth) {
    BatchRequest made;
    made.depth = checked_depth(queue_depth);
    if (block_size == 0) {
        throw py::value_error("block_size must be at least 1 byte, not 0");
    }
    std::vector<uint64_t> places = convert_offsets(offsets);
    uint64_t size = total(places.size(), block_size);
    py::object target = out.is_none() ? new_bytearray(size) : out;
    const Buffer& buffer = made.buffers.emplace_back(target, Buffer::Access::write);
    if (buffer.size() != size) {
        throw py::value_error("out has " + std::to_string(buffer.size()) + " bytes, but " +
                              std::to_string(places.size()) + " blocks need " +
                              std::to_string(size));
    }
    made.plan = batch::Blocks::read(buffer.data(), std::move(places), block_size);
    made.answer = [target] { return target; };
    return made;
}

BatchRequest write_blocks_request(const py::object& data, const py::object& offsets,
                                  uint64_t queue_depth) {
    BatchRequest made;
    made.depth = checked_depth(queue_depth);
    std::vector<uint64_t> places = convert_offsets(offsets);
    const Buffer& buffer = made.buffers.emplace_back(data, Buffer::Access::read);
    uint64_t size = buffer.size();
    if (places.empty() ? size != 0 : size == 0 || size % places.size() != 0) {
        throw py::value_error(std::to_string(size) + " bytes cannot be divided into " +
                              std::to_string(places.size()) + " blocks of the same size");
    }
    uint64_t block = places.empty() ? 0 : size / places.size();
    made.plan = batch::Blocks::write_later(buffer.data(), std::move(places), block);
    made.answer = [size] { return py::int_(size); };
    return made;
}

BatchRequest readv_request(const py::object& buffers, uint64_t offset) {
    auto targets = all_buffers(buffers, Buffer::Access::write);
    auto plan = std::make_shared<batch::Vectors>(vectors_of(targets), offset);
    return of_vectors(std::move(targets), std::move(plan));
}

BatchRequest writev_request(const py::object& buffers, uint64_t offset) {
    auto sources = all_buffers(buffers, Buffer::Access::read);
    auto plan = batch::Vectors::write_later(vectors_of(sources), offset);
    return of_vectors(std::move(sources), std::move(plan));
}

}  // namespace rbdxx::python
