// The Completion of rbd.rados: an asynchronous call on an object, with Python callbacks.
#pragma once

#include <pybind11/pybind11.h>

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <utility>

#include <rbdxx/engine.hpp>
#include <rbdxx/rados/ioctx.hpp>

#include "../support/callbacks.hpp"
#include "../support/gil.hpp"

namespace rbdxx::python::rados {

class Completion : public engine::Operation {
public:
    Completion() : callbacks_(&Callbacks::get()) {}
    ~Completion() override {
        if (handle() != nullptr) {
            // The last share of a context closes it.
            without_gil([this] { finish(); });
        }
    }

    // Returns the arguments of the callbacks after the completion: a tuple, or a null object for
    // none. Called once, with the GIL, after the call has completed.
    virtual py::object extras() { return {}; }
    // Returns what the call is reported to have returned. Only for a completed call.
    virtual ssize_t answer() const { return result(); }
    // Releases the memory of the call. Called with the GIL, after the call has completed.
    virtual void release() {}

    void deliver() noexcept override;
    ssize_t return_value() const { return is_complete() ? answer() : 0; }
    // Waits until the call has completed, even if the thread of callbacks is busy.
    void wait_complete();
    // Waits until the callbacks have run too.
    void wait();
    // As wait(). Throws what the callbacks raised.
    void wait_and_raise();

    const py::object& ioctx() const noexcept { return ioctx_; }
    const py::object& oncomplete() const noexcept { return oncomplete_; }
    const py::object& onsafe() const noexcept { return onsafe_; }

    // Sets the owner and the callbacks. Each callback is a callable or None; raises TypeError
    // otherwise.
    void set(const py::object& ioctx, const py::object& oncomplete, const py::object& onsafe);
    // Keeps itself alive, and in the owner's set of calls under way, until it is delivered or
    // withdrawn.
    void hold(const py::object& self);
    void withdraw_hold() noexcept;

    int traverse(visitproc visit, void* argument) const;
    void clear();

private:
    void require_submitted() const;
    void call(const py::object& callback, const py::object& arguments) noexcept;
    py::object drop_hold() noexcept;

    Callbacks* const callbacks_;
    const unsigned generation_ = fork_generation();
    py::object self_;  // keeps itself alive while in flight
    py::object ioctx_ = py::none();
    py::object oncomplete_ = py::none();
    py::object onsafe_ = py::none();
    py::object exception_;
    std::atomic<bool> submitted_{false};
    std::atomic<bool> delivered_{false};
};

// Returns the set of completions of a context's calls under way.
py::object in_flight_of(const py::object& ioctx);

// Makes the Python Completion of the operation that `call(completion, queue, ioctx)` submits.
template <class Made, class Call>
py::object submit(std::unique_ptr<Made> completion, const py::object& self,
                  const py::object& oncomplete, const py::object& onsafe, const Call& call) {
    const auto& ioctx = self.cast<const IoCtx&>();
    completion->set(self, oncomplete, onsafe);
    Made& made = *completion;
    py::object object = py::cast(std::unique_ptr<Completion>(std::move(completion)));
    made.hold(object);
    try {
        engine::QueuePointer queue = Callbacks::get().queue();
        without_gil([&] { call(made, std::move(queue), ioctx); });
    } catch (...) {
        made.withdraw_hold();
        throw;
    }
    return object;
}

}  // namespace rbdxx::python::rados
