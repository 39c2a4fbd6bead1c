#include "arguments.hpp"

#include <climits>
#include <cstring>

#include "errors.hpp"
#include "foreign.hpp"

namespace rbdxx::python {

namespace {

// Returns the integer behind an index, as a new reference. Raises TypeError for anything else.
py::object index_of(py::handle source) {
    return checked(PyNumber_Index(source.ptr()));
}

}  // namespace

uint64_t convert_u64(py::handle source) {
    py::object number = index_of(source);
    uint64_t value = PyLong_AsUnsignedLongLong(number.ptr());
    if (value == static_cast<uint64_t>(-1) && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();  // OverflowError, for negative numbers too
    }
    return value;
}

uint64_t convert_up_to(py::handle source, uint64_t most) {
    uint64_t value = convert_u64(source);
    if (value > most) {
        const std::string text =
            std::to_string(value) + " is too large: at most " + std::to_string(most);
        PyErr_SetString(PyExc_OverflowError, text.c_str());
        throw py::error_already_set();
    }
    return value;
}

int64_t convert_i64(py::handle source) {
    py::object number = index_of(source);
    int64_t value = PyLong_AsLongLong(number.ptr());
    if (value == -1 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    return value;
}

int convert_flags(py::handle source) {
    py::object number = index_of(source);
    long long value = PyLong_AsLongLong(number.ptr());
    if (value == -1 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    // A mask of 32 bits is accepted too.
    if (value < INT_MIN || value > static_cast<long long>(UINT32_MAX)) {
        PyErr_Format(PyExc_OverflowError, "flags must fit into 32 bits, not be %lld", value);
        throw py::error_already_set();
    }
    return static_cast<int>(value);
}

std::string convert_name(py::handle source) {
    std::string value;
    if (PyUnicode_Check(source.ptr())) {
        // The text is read in place: only lone surrogates need the codec.
        Py_ssize_t size = 0;
        if (const char* data = PyUnicode_AsUTF8AndSize(source.ptr(), &size)) {
            value.assign(data, static_cast<size_t>(size));
        } else {
            PyErr_Clear();
            py::object bytes =
                checked(PyUnicode_AsEncodedString(source.ptr(), "utf-8", "surrogateescape"));
            value.assign(PyBytes_AS_STRING(bytes.ptr()),
                         static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr())));
        }
    } else if (PyBytes_Check(source.ptr())) {
        value.assign(PyBytes_AS_STRING(source.ptr()),
                     static_cast<size_t>(PyBytes_GET_SIZE(source.ptr())));
    } else {
        throw_not_text(source);
    }
    if (value.find('\0') != std::string::npos) {
        throw py::value_error("a name must not contain a NUL character");
    }
    return value;
}

Secret convert_secret(py::handle source, const char* errors) {
    if (PyUnicode_Check(source.ptr())) {
        // The text is read in place, so that the only copy is the one that is wiped.
        Py_ssize_t size = 0;
        const char* data = PyUnicode_AsUTF8AndSize(source.ptr(), &size);
        if (data != nullptr) {
            return {data, static_cast<std::size_t>(size)};
        }
        // The error of the codec is dropped, because it contains the whole text.
        PyErr_Clear();
        auto bytes = py::reinterpret_steal<py::object>(
            PyUnicode_AsEncodedString(source.ptr(), "utf-8", errors));
        if (!bytes) {
            PyErr_Clear();
            throw py::value_error("a passphrase or key must be text that UTF-8 can encode");
        }
        Secret secret(PyBytes_AS_STRING(bytes.ptr()),
                      static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
        // Python shares the bytes objects of length 1.
        if (secret.size() > 1) {
            Secret::wipe(PyBytes_AS_STRING(bytes.ptr()), secret.size());
        }
        return secret;
    }
    if (PyBytes_Check(source.ptr())) {
        return {PyBytes_AS_STRING(source.ptr()),
                static_cast<std::size_t>(PyBytes_GET_SIZE(source.ptr()))};
    }
    throw_not_text(source);
}

IoCtxArgument convert_ioctx(py::handle source) {
    IoCtxArgument argument;
    if (py::isinstance<IoCtx>(source)) {
        argument.ioctx = source.cast<IoCtx>();
        return argument;
    }
    return foreign_ioctx(source);
}

py::str text(const std::string& value) {
    PyObject* decoded = PyUnicode_DecodeUTF8(value.data(), static_cast<Py_ssize_t>(value.size()),
                                             "surrogateescape");
    if (decoded == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::str>(decoded);
}

py::object text_or_none(const std::optional<std::string>& value) {
    return value ? py::object(text(*value)) : py::object(py::none());
}

}  // namespace rbdxx::python
