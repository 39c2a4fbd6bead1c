#include "loop_queue.hpp"

#include "awaited.hpp"
#include "errors.hpp"
#include "gil.hpp"

namespace rbdxx::python {

namespace {

// The number of used operations to keep: as many as a loop usually has in flight.
constexpr std::size_t most_spare = 1024;
// From this many operations in flight on, the loop returns to the queue before it sleeps.
constexpr std::size_t busy = 4;
// The number of times that one call of the reader takes completed operations, before the loop's
// other handles run.
constexpr int rounds = 4;

// Calls future.name(argument). Returns whether that succeeded. What a signal handler raised
// meanwhile stays set.
bool tell(const py::object& future, const py::object& name, const py::object& argument) noexcept {
    PyObject* arguments[] = {nullptr, future.ptr(), argument.ptr()};
    PyObject* result = PyObject_VectorcallMethod(name.ptr(), arguments + 1,
                                                 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    if (result == nullptr) {
        // The future was cancelled meanwhile, or its loop is closed.
        if (PyErr_ExceptionMatches(PyExc_Exception) != 0) {
            PyErr_Clear();
        }
        return false;
    }
    Py_DECREF(result);
    return true;
}

}  // namespace

void LoopOperation::reset() {
    finish();
    future = py::object();
    owner = py::object();
}

void LoopOperation::deliver() noexcept {
    unwanted();
    reset();
    delete this;
}

LoopQueue::LoopQueue()
    : queue_(std::make_shared<engine::Queue>(Callbacks::owner())),
      set_result_(checked(PyUnicode_InternFromString("set_result"))),
      set_exception_(checked(PyUnicode_InternFromString("set_exception"))) {}

LoopQueue::~LoopQueue() {
    if (in_flight_ > 0) {
        queue_->abandon();
        Callbacks::serve();
    }
}

void LoopQueue::drain() {
    // With many operations in flight, more of them complete before the loop would sleep. The
    // descriptor therefore stays readable, and the loop returns without being woken until it finds
    // nothing.
    bool rests = in_flight_ < busy;
    if (rests) {
        queue_->acknowledge();
    }
    for (int round = 0; round < rounds; ++round) {
        engine::Item* completed = queue_->take();
        if (completed == nullptr && !rests && round == 0) {
            rests = true;
            queue_->acknowledge();
            completed = queue_->take();
        }
        if (completed == nullptr) {
            return;
        }
        deliver(completed);
    }
}

void LoopQueue::deliver(engine::Item* completed) {
    const Holding holding(*queue_);
    while (completed != nullptr) {
        // If a handler raised while a future schedules its callbacks, the future would lose them,
        // and its waiters would wait forever. Between two futures a handler does no harm.
        if (PyErr_CheckSignals() != 0) {
            go_on_later(completed);
        }
        std::unique_ptr<LoopOperation> operation(static_cast<LoopOperation*>(completed));
        completed = completed->next();
        conclude(*operation);
        if (!operation->future) {
            --in_flight_;
            if (operation->reusable() && spare_.size() < most_spare) {
                spare_.push_back(std::move(operation));
            }
        } else {
            operation.release();  // NOLINT(bugprone-unused-return-value): it was submitted again
        }
        if (PyErr_Occurred() != nullptr) {
            go_on_later(completed);
        }
    }
}

void LoopQueue::go_on_later(engine::Item* completed) {
    py::error_already_set raised;
    while (completed != nullptr) {
        engine::Item* const next = completed->next();
        queue_->push(completed);
        completed = next;
    }
    throw raised;  // NOLINT(misc-throw-by-value-catch-by-reference)
}

void LoopQueue::conclude(LoopOperation& operation) noexcept {
    py::object value;
    bool failed = false;
    try {
        if (operation.again(queue_)) {
            return;
        }
        value = operation.value();
    } catch (...) {
        value = current_exception();
        failed = true;
    }
    const py::object future = operation.future;
    if (awaited::is(future)) {
        if (!awaited::pending(future)) {
            operation.unwanted();
        }
        // Before the task continues, because the task may reuse the operation for its next call,
        // and must not wait for it in a close.
        operation.reset();
        awaited::resolve(future, std::move(value), failed);
        return;
    }
    if (!tell(future, failed ? set_exception_ : set_result_, value)) {
        operation.unwanted();
    }
    operation.reset();
}

}  // namespace rbdxx::python
