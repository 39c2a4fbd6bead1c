#include "buffer.hpp"

#include <string>

#include <rbdxx/io.hpp>

#include "gil.hpp"

namespace rbdxx::python {

Buffer::Buffer(py::handle source, Access access) {
    int flags = access == Access::write ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    if (PyObject_GetBuffer(source.ptr(), &view_, flags) == 0) {
        held_ = true;
        return;
    }
    PyErr_Clear();
    // Ask again for less, to find out what is wrong with it.
    if (PyObject_GetBuffer(source.ptr(), &view_, PyBUF_FULL_RO) != 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) != 0 ||
            PyErr_ExceptionMatches(PyExc_BufferError) != 0) {
            bool none = PyObject_CheckBuffer(source.ptr()) == 0;
            if (none) {
                PyErr_Clear();
                throw py::type_error(
                    "expected a buffer (bytes, bytearray, memoryview, array ...), not " +
                    std::string(Py_TYPE(source.ptr())->tp_name));
            }
        }
        throw py::error_already_set();
    }
    held_ = true;
    if (PyBuffer_IsContiguous(&view_, 'C') == 0) {
        release();
        throw py::buffer_error("the buffer must be C-contiguous");
    }
    if (access == Access::write && view_.readonly != 0) {
        release();
        throw py::type_error("the buffer is read-only; reading into it needs a writable one");
    }
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    if (this != &other) {
        release();
        view_ = other.view_;
        held_ = other.held_;
        other.held_ = false;
    }
    return *this;
}

void Buffer::release() {
    if (held_) {
        held_ = false;
        PyBuffer_Release(&view_);
    }
}

std::vector<Buffer> all_buffers(const py::object& sources, Buffer::Access access) {
    auto items = py::reinterpret_steal<py::object>(
        PySequence_Fast(sources.ptr(), "buffers must be a sequence of buffers"));
    if (!items) {
        throw py::error_already_set();
    }
    std::vector<Buffer> buffers;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
        auto item = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(items.ptr(), i));
        buffers.emplace_back(item, access);
    }
    return buffers;
}

std::vector<iovec> vectors_of(const std::vector<Buffer>& buffers) {
    std::vector<iovec> vectors;
    vectors.reserve(buffers.size());
    for (const Buffer& buffer : buffers) {
        vectors.push_back({buffer.data(), buffer.size()});
    }
    return vectors;
}

uint64_t memory_for(const Image& image, uint64_t offset, uint64_t length) {
    constexpr uint64_t clip_above = uint64_t{1} << 20;
    if (length <= clip_above) {
        return length;
    }
    uint64_t there = without_gil([&] { return io::clip(image, offset, length); });
    return there > 0 ? there : 1;
}

NewBytes::NewBytes(uint64_t size) : size_(size) {
    if (size > static_cast<uint64_t>(PY_SSIZE_T_MAX)) {
        PyErr_NoMemory();
        throw py::error_already_set();
    }
    bytes_ = py::reinterpret_steal<py::object>(
        PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
    if (!bytes_) {
        throw py::error_already_set();
    }
}

py::bytes NewBytes::take(uint64_t size) {
    PyObject* raw = bytes_.release().ptr();
    if (size < size_ && _PyBytes_Resize(&raw, static_cast<Py_ssize_t>(size)) != 0) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::bytes>(raw);
}

}  // namespace rbdxx::python
