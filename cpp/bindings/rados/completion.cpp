#include "completion.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <rbdxx/error.hpp>

#include "../support/errors.hpp"

namespace rbdxx::python::rados {

namespace {

// The time that a wait for a completion alone sleeps between two checks, at first and at most.
constexpr auto first_pause = std::chrono::microseconds(20);
constexpr auto last_pause = std::chrono::microseconds(1000);

void require_callable(const py::object& callback, const char* name) {
    if (!callback.is_none() && PyCallable_Check(callback.ptr()) == 0) {
        throw py::type_error(std::string(name) + " must be callable or None, not " +
                             Py_TYPE(callback.ptr())->tp_name);
    }
}

}  // namespace

py::object in_flight_of(const py::object& ioctx) {
    static PyObject* const name = PyUnicode_InternFromString("_in_flight");
    py::object values = checked(PyObject_GenericGetDict(ioctx.ptr(), nullptr));
    PyObject* found = PyDict_GetItemWithError(values.ptr(), name);
    if (found != nullptr) {
        return py::reinterpret_borrow<py::object>(found);
    }
    if (PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    py::set made;
    // Another thread may have made one meanwhile.
    found = PyDict_SetDefault(values.ptr(), name, made.ptr());
    if (found == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_borrow<py::object>(found);
}

void Completion::set(const py::object& ioctx, const py::object& oncomplete,
                     const py::object& onsafe) {
    require_callable(oncomplete, "oncomplete");
    require_callable(onsafe, "onsafe");
    ioctx_ = ioctx;
    oncomplete_ = oncomplete;
    onsafe_ = onsafe;
}

void Completion::hold(const py::object& self) {
    py::object in_flight = in_flight_of(ioctx_);
    if (PySet_Add(in_flight.ptr(), self.ptr()) != 0) {
        throw py::error_already_set();
    }
    self_ = self;
    submitted_.store(true);
}

py::object Completion::drop_hold() noexcept {
    py::object self = std::move(self_);
    try {
        py::object in_flight = in_flight_of(ioctx_);
        if (PySet_Discard(in_flight.ptr(), self.ptr()) < 0) {
            PyErr_Clear();
        }
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the set is informative only
    }
    return self;
}

void Completion::withdraw_hold() noexcept {
    submitted_.store(false);
    py::object self = drop_hold();
    release();
}

void Completion::call(const py::object& callback, const py::object& arguments) noexcept {
    if (callback.is_none()) {
        return;
    }
    try {
        checked(PyObject_Call(callback.ptr(), arguments.ptr(), nullptr));
    } catch (...) {
        py::object raised = current_exception();
        if (!exception_) {
            exception_ = std::move(raised);
            return;
        }
        // The completion keeps only one exception.
        PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
        PyErr_WriteUnraisable(callback.ptr());
    }
}

void Completion::deliver() noexcept {
    // Dropped last, because this may be the only reference to the completion.
    const py::object self = drop_hold();
    if (!oncomplete_.is_none() || !onsafe_.is_none()) {
        try {
            py::object more = extras();
            py::tuple arguments = py::make_tuple(self);
            if (more) {
                arguments = py::reinterpret_steal<py::tuple>(
                    checked(PySequence_Concat(arguments.ptr(), more.ptr())).release());
            }
            call(oncomplete_, arguments);
            call(onsafe_, arguments);
        } catch (...) {
            exception_ = current_exception();
        }
    }
    // A close that waits for this call must find that the callbacks have run.
    if (handle() != nullptr && handle()->closed()) {
        without_gil([&] { finish(); });
    } else {
        finish();
    }
    release();
    delivered_.store(true);
    callbacks_->notify();
}

void Completion::require_submitted() const {
    if (!submitted_.load()) {
        throw RadosArgumentError(
            "the completion does not belong to a call; use one that an aio_* method of Ioctx "
            "returned");
    }
}

void Completion::wait_complete() {
    require_submitted();
    auto pause = first_pause;
    while (!is_complete()) {
        if (generation_ != fork_generation()) {
            throw ForkedError("the call was made before fork() and completes in the parent process",
                              ClosedError::Subject::ioctx);
        }
        without_gil([&] { std::this_thread::sleep_for(pause); });
        pause = std::min(2 * pause, last_pause);
        check_signals();
    }
}

void Completion::wait() {
    require_submitted();
    callbacks_->wait(delivered_, *this, [] { return false; });
}

void Completion::wait_and_raise() {
    wait();
    if (delivered_.load() && exception_) {
        throw_error(exception_);
    }
}

int Completion::traverse(visitproc visit, void* arg) const {
    Py_VISIT(ioctx_.ptr());
    Py_VISIT(oncomplete_.ptr());
    Py_VISIT(onsafe_.ptr());
    // A frame of the exception's traceback refers to the completion.
    Py_VISIT(exception_.ptr());
    return 0;
}

void Completion::clear() {
    py::object ioctx = std::exchange(ioctx_, py::none());
    py::object oncomplete = std::exchange(oncomplete_, py::none());
    py::object onsafe = std::exchange(onsafe_, py::none());
    py::object exception = std::move(exception_);
}

}  // namespace rbdxx::python::rados
