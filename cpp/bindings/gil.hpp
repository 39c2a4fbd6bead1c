// The interpreter lock: released for the whole of every C call, through these helpers alone.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include <rbdxx/progress.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// Releases the GIL while it lives. Where the interpreter is gone by then, the thread stays here for
// ever, as Python 3.14 has it: before, Python ends such a thread by unwinding its stack, which
// would abort the process in the first destructor and let go of Python objects without the GIL.
class GilRelease {
public:
    GilRelease();
    ~GilRelease();
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

private:
    PyThreadState* state_;
};

// For the interpreter's very end, after which no call begins. The exit of the process takes apart
// what librbd works with: waits a moment for the calls that daemon threads are in the middle of,
// and, where handles are left, has the process end without that, by its own status.
void let_calls_end() noexcept;

// Holds the GIL while it lives, in a thread that has released it: `state` is that thread's own from
// before. Not pybind11's, which takes a thread for one of the interpreter it began in.
class GilReacquire {
public:
    explicit GilReacquire(PyThreadState* state);
    ~GilReacquire();
    GilReacquire(const GilReacquire&) = delete;
    GilReacquire& operator=(const GilReacquire&) = delete;
};

// Runs `call` without the GIL. Convert every argument before, every result after.
template <class Call>
auto without_gil(Call&& call) {
    GilRelease release;
    return std::forward<Call>(call)();
}

// Runs a long call on a thread of its own, without the GIL, while this one reports progress to
// `on_progress` (a callable or None) and watches for signals. Whatever `on_progress` or a signal
// handler raises is raised here once the call has returned; librbd is asked to stop, where it heeds
// that. A child that a callback forks off gets ForkedError: the call is the parent's.
void long_call(const py::object& on_progress, const std::function<void(const Progress&)>& call);

}  // namespace rbdxx::python
