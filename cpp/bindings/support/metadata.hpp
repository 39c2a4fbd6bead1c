// A missing key as a Python exception.
#pragma once

#include <pybind11/pybind11.h>

#include <cerrno>
#include <string>

#include <rbdxx/error.hpp>

#include "gil.hpp"

namespace rbdxx::python {

// Returns the result of `call`, which runs without the GIL. ENOENT becomes a KeyError with the
// message.
template <class Call>
auto key_or_error(const std::string& message, const Call& call) {
    try {
        return without_gil(call);
    } catch (const Error& error) {
        if (error.code() == ENOENT) {
            throw py::key_error(message);
        }
        throw;
    }
}

}  // namespace rbdxx::python
