// The interpreter lock: released for the whole of every C call, through these helpers alone.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include <rbdxx/progress.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// Runs `call` without the GIL. Convert every argument before, every result after.
template <class Call>
auto without_gil(Call&& call) {
    py::gil_scoped_release release;
    return std::forward<Call>(call)();
}

// Runs a long call on a thread of its own, without the GIL, while this one reports progress to
// `on_progress` (a callable or None) and watches for signals. Whatever `on_progress` or a signal
// handler raises is raised here once the call has returned; librbd is asked to stop, where it heeds
// that.
void long_call(const py::object& on_progress, const std::function<void(const Progress&)>& call);

}  // namespace rbdxx::python
