// Python buffers as plain memory, held until the I/O on them has completed.
#pragma once

#include <pybind11/pybind11.h>

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// Owns a C-contiguous Py_buffer, and releases it. The constructor raises TypeError for an object
// without a buffer (as a str), TypeError for a read-only buffer to be written into, and BufferError
// for a buffer that is not contiguous.
class Buffer {
public:
    enum class Access { read, write };

    Buffer() = default;
    Buffer(py::handle source, Access access);
    ~Buffer() { release(); }
    Buffer(Buffer&& other) noexcept : view_(other.view_), held_(other.held_) {
        other.held_ = false;
    }
    Buffer& operator=(Buffer&& other) noexcept;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    char* data() const { return static_cast<char*>(view_.buf); }
    uint64_t size() const { return static_cast<uint64_t>(view_.len); }
    const Py_buffer& view() const { return view_; }
    // Releases the memory. Needs the GIL.
    void release();

private:
    Py_buffer view_{};
    bool held_ = false;
};

// Returns the buffers of a sequence. Raises TypeError if it is not a sequence.
std::vector<Buffer> all_buffers(const py::object& sources, Buffer::Access access);
// Returns the memory of buffers, for the C API.
std::vector<iovec> vectors_of(const std::vector<Buffer>& buffers);

// Returns the number of bytes of memory that a read takes: a long read is clipped to the image
// first. For a read that begins outside of the image, it is one byte, so that librbd reports the
// error.
uint64_t memory_for(const Image& image, uint64_t offset, uint64_t length);

// Owns a new bytes object, as memory to read into before any other code sees it. Throws
// MemoryError.
class NewBytes {
public:
    explicit NewBytes(uint64_t size);
    char* data() const { return PyBytes_AS_STRING(bytes_.ptr()); }
    // Returns the object, truncated to `size` bytes. This is empty afterwards.
    py::bytes take(uint64_t size);

private:
    py::object bytes_;
    uint64_t size_;
};

}  // namespace rbdxx::python
