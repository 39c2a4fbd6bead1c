// Python buffers as plain memory, held until the I/O with them is complete.
#pragma once

#include <pybind11/pybind11.h>

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// A C-contiguous Py_buffer, released with it. Checked when made: TypeError for what exposes no
// buffer (str among them) or a read-only one that is to be written into, BufferError where it is
// not contiguous.
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
    // Lets go of the memory; needs the GIL.
    void release();

private:
    Py_buffer view_{};
    bool held_ = false;
};

// The buffers of a sequence; TypeError where it is none.
std::vector<Buffer> all_buffers(const py::object& sources, Buffer::Access access);
// Their memory, for the C API.
std::vector<iovec> vectors_of(const std::vector<Buffer>& buffers);

// How many bytes of memory a read takes: a long one is clipped to the image first. One byte outside
// of it, so that librbd says what is wrong with that.
uint64_t memory_for(const Image& image, uint64_t offset, uint64_t length);

// New bytes objects: memory to read into before anyone else sees it. MemoryError if there is none.
class NewBytes {
public:
    explicit NewBytes(uint64_t size);
    char* data() const { return PyBytes_AS_STRING(bytes_.ptr()); }
    // The object, cut to the first `size` bytes; leaves this empty.
    py::bytes take(uint64_t size);

private:
    py::object bytes_;
    uint64_t size_;
};

}  // namespace rbdxx::python
