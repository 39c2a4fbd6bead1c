#include "offsets.hpp"

#include <cstring>
#include <type_traits>

#include "arguments.hpp"

namespace rbdxx::python {

namespace {

template <class Number>
bool copy(const Py_buffer& view, std::vector<uint64_t>& offsets) {
    const auto count = view.shape[0];
    const auto stride = view.strides[0];
    const auto* at = static_cast<const char*>(view.buf);
    offsets.resize(static_cast<std::size_t>(count));
    bool negative = false;
    for (Py_ssize_t i = 0; i < count; ++i, at += stride) {
        Number number;
        std::memcpy(&number, at, sizeof number);
        if constexpr (std::is_signed_v<Number>) {
            negative |= number < 0;
        }
        // The sign may be lost here: the caller refuses negative numbers.
        // NOLINTNEXTLINE(bugprone-signed-char-misuse)
        offsets[static_cast<std::size_t>(i)] = static_cast<uint64_t>(number);
    }
    return !negative;
}

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
constexpr char own_order = '>';
#else
constexpr char own_order = '<';
#endif

enum class Outcome { copied, negative, foreign };

// Reads the integers by the struct format, if that is one integer in the machine's byte order.
Outcome copy_integers(const Py_buffer& view, std::vector<uint64_t>& offsets) {
    const char* format = view.format != nullptr ? view.format : "B";
    if (*format == '@' || *format == '=' || *format == own_order) {
        ++format;
    }
    if (std::strlen(format) != 1) {
        return Outcome::foreign;
    }
    bool is_signed = std::strchr("bhilqn", *format) != nullptr;
    if (!is_signed && std::strchr("BHILQN", *format) == nullptr) {
        return Outcome::foreign;
    }
    bool fine = false;
    switch (view.itemsize) {
        case 1:
            fine = is_signed ? copy<int8_t>(view, offsets) : copy<uint8_t>(view, offsets);
            break;
        case 2:
            fine = is_signed ? copy<int16_t>(view, offsets) : copy<uint16_t>(view, offsets);
            break;
        case 4:
            fine = is_signed ? copy<int32_t>(view, offsets) : copy<uint32_t>(view, offsets);
            break;
        case 8:
            fine = is_signed ? copy<int64_t>(view, offsets) : copy<uint64_t>(view, offsets);
            break;
        default:
            return Outcome::foreign;
    }
    return fine ? Outcome::copied : Outcome::negative;
}

struct View {
    explicit View(py::handle source) {
        held = PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_FORMAT | PyBUF_STRIDED) == 0;
        if (!held) {
            PyErr_Clear();
        }
    }
    ~View() {
        if (held) {
            PyBuffer_Release(&buffer);
        }
    }
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    Py_buffer buffer{};
    bool held = false;
};

}  // namespace

std::vector<uint64_t> convert_offsets(py::handle source) {
    std::vector<uint64_t> offsets;
    if (PyObject_CheckBuffer(source.ptr()) != 0) {
        View view(source);
        if (view.held) {
            if (view.buffer.ndim != 1) {
                throw py::value_error("offsets must have one dimension, not " +
                                      std::to_string(view.buffer.ndim));
            }
            Outcome outcome = copy_integers(view.buffer, offsets);
            if (outcome == Outcome::negative) {
                PyErr_SetString(PyExc_OverflowError, "offsets must not be negative");
                throw py::error_already_set();
            }
            if (outcome == Outcome::copied) {
                return offsets;
            }
        }
    }
    auto items = py::reinterpret_steal<py::object>(PySequence_Fast(
        source.ptr(), "offsets must be a sequence of integers or a buffer of them"));
    if (!items) {
        throw py::error_already_set();
    }
    offsets.clear();
    offsets.reserve(static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr())));
    // The list may be the caller's own, and an item's __index__ may change it.
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
        auto item = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(items.ptr(), i));
        offsets.push_back(convert_u64(item));
    }
    return offsets;
}

}  // namespace rbdxx::python
