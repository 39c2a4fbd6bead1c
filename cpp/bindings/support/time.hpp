// C++ points in time as Python objects.
#pragma once

#include <pybind11/pybind11.h>

#include <ctime>
#include <string>

#include <rbdxx/api.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

// Returns a point in time as the stock module of the loaded release does: a datetime in UTC, in
// whole seconds, which has a time zone from Ceph 20 on.
inline py::object utc_datetime(time_t seconds) {
    py::module_ datetime = py::module_::import("datetime");
    py::object aware = datetime.attr("datetime")
                           .attr("fromtimestamp")(seconds, datetime.attr("timezone").attr("utc"));
    return library_info().release >= 20 ? aware
                                        : aware.attr("replace")(py::arg("tzinfo") = py::none());
}

inline py::object to_python(const std::string& value) {
    return text(value);
}
inline py::object to_python(const timespec& value) {
    return utc_datetime(value.tv_sec);
}
inline py::object to_python(bool value) {
    return py::bool_(value);
}
inline py::object to_python(uint64_t value) {
    return py::int_(value);
}
inline py::object to_python(int64_t value) {
    return py::int_(value);
}

}  // namespace rbdxx::python
