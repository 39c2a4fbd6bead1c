// Missing keys as Python tells of them.
#pragma once

#include <pybind11/pybind11.h>

#include <cerrno>
#include <string>

#include <rbdxx/error.hpp>

#include "gil.hpp"

namespace rbdxx::python {

// What `call` gives, run without the GIL; ENOENT is a KeyError with the message.
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
