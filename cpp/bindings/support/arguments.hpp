// The conversion of Python arguments to plain values. They are checked here, before any call.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>

#include <rbdxx/rados/ioctx.hpp>
#include <rbdxx/secret.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// A number from 0 to 2**64-1. Any index is accepted; anything else is a TypeError, and a number
// outside the range an OverflowError.
struct U64 {
    uint64_t value = 0;
    operator uint64_t() const { return value; }  // NOLINT: converts on purpose
};

// An id: a number from -2**63 to 2**63-1; OverflowError outside.
struct I64 {
    int64_t value = 0;
    operator int64_t() const { return value; }  // NOLINT: converts on purpose
};

// A number from 0 to 2**32-1, or from 0 to 255; OverflowError outside.
struct U32 {
    uint32_t value = 0;
    operator uint32_t() const { return value; }  // NOLINT: converts on purpose
};
struct U8 {
    uint8_t value = 0;
    operator uint8_t() const { return value; }  // NOLINT: converts on purpose
};

// A number that the C API takes as int or uint32_t; OverflowError if it is neither.
struct Flags {
    int value = 0;
    operator int() const { return value; }  // NOLINT: converts on purpose
};

// A name or other text for the C API: str (UTF-8, surrogateescape) or bytes, without NUL.
struct Name {
    std::string value;
    operator const std::string&() const { return value; }  // NOLINT: converts on purpose
};

// An I/O context of any kind: this module's, the stock module's, or that of a ctypes binding.
struct IoCtxArgument {
    py::object owner;       // keeps a foreign context alive
    py::object connection;  // the stock Rados behind it, if it is known
    std::optional<IoCtx> ioctx;
    operator const IoCtx&() const { return *ioctx; }  // NOLINT: converts on purpose
};

uint64_t convert_u64(py::handle source);
// As convert_u64(), for numbers up to `most`.
uint64_t convert_up_to(py::handle source, uint64_t most);
int64_t convert_i64(py::handle source);
inline uint32_t convert_u32(py::handle source) {
    return static_cast<uint32_t>(convert_up_to(source, UINT32_MAX));
}
inline uint8_t convert_u8(py::handle source) {
    return static_cast<uint8_t>(convert_up_to(source, UINT8_MAX));
}
int convert_flags(py::handle source);
std::string convert_name(py::handle source);
IoCtxArgument convert_ioctx(py::handle source);
// Converts str (UTF-8; `errors` says how to treat lone surrogates) or bytes. No exception contains
// any part of it.
Secret convert_secret(py::handle source, const char* errors);

// Decodes a name that librbd returned: UTF-8 with surrogateescape.
py::str text(const std::string& value);
py::object text_or_none(const std::optional<std::string>& value);

inline std::optional<uint64_t> number(const std::optional<U64>& value) {
    return value ? std::optional<uint64_t>(value->value) : std::nullopt;
}
inline std::optional<std::string> string(const std::optional<Name>& value) {
    return value ? std::optional<std::string>(value->value) : std::nullopt;
}

}  // namespace rbdxx::python

namespace pybind11::detail {

#define RBDXX_CASTER(Type, text, conversion)                         \
    template <>                                                      \
    struct type_caster<rbdxx::python::Type> {                        \
        PYBIND11_TYPE_CASTER(rbdxx::python::Type, const_name(text)); \
        bool load(handle source, bool) {                             \
            value = rbdxx::python::Type{conversion(source)};         \
            return true;                                             \
        }                                                            \
    };

RBDXX_CASTER(U64, "int", rbdxx::python::convert_u64)
RBDXX_CASTER(I64, "int", rbdxx::python::convert_i64)
RBDXX_CASTER(U32, "int", rbdxx::python::convert_u32)
RBDXX_CASTER(U8, "int", rbdxx::python::convert_u8)
RBDXX_CASTER(Flags, "int", rbdxx::python::convert_flags)
RBDXX_CASTER(Name, "str", rbdxx::python::convert_name)
RBDXX_CASTER(IoCtxArgument, "Ioctx", rbdxx::python::convert_ioctx)

#undef RBDXX_CASTER

}  // namespace pybind11::detail
