// The stock module's Completion: an asynchronous call with a Python callback.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <functional>
#include <memory>

#include "callbacks.hpp"
#include "gil.hpp"
#include "image.hpp"
#include "recovery.hpp"

namespace rbdxx::python {

class Completion : public engine::Operation {
public:
    using Write = std::function<void(engine::QueuePointer queue, const Image& image)>;

    Completion();

    // Returns the callback's second argument, after any work that must precede the callback. A null
    // object means that the callback takes only the completion. Runs with the GIL, after the call
    // has completed.
    virtual py::object answer() { return {}; }
    // Releases the memory of the call. Runs with the GIL.
    virtual void release() {}

    void deliver() noexcept override;
    bool complete_for_good() const noexcept {
        return write_ ? recovery_.is_final(*this) : is_complete();
    }
    ssize_t return_value() const noexcept {
        return complete_for_good() ? recovery_.result(*this) : 0;
    }
    void wait();

    int traverse(visitproc visit, void* argument) const;
    void clear();

protected:
    const py::object& owner() const noexcept { return owner_; }

private:
    friend py::object submit(std::unique_ptr<Completion> completion, const py::object& owner,
                             const py::object& callback, const std::function<void()>& call);
    friend py::object submit_write(std::unique_ptr<Completion> completion, const py::object& self,
                                   const py::object& oncomplete, Write write);

    bool again() noexcept;

    Callbacks* const callbacks_;
    py::object self_;   // keeps itself alive while in flight
    py::object owner_;  // the image, or another object that must outlive the call
    py::object callback_;
    py::object exception_;
    Write write_;  // submits a call that needs the exclusive lock
    Recovery recovery_;
    std::atomic<bool> delivered_{false};
};

// Makes the Python Completion of the operation that `call()` submits, with the queue of Callbacks.
// `callback` is a callable or None; anything else raises TypeError before anything is done.
py::object submit(std::unique_ptr<Completion> completion, const py::object& owner,
                  const py::object& callback, const std::function<void()>& call);

// Converts a number that librbd writes, or None.
template <class Number>
struct NumberCompletion final : Completion {
    py::object answer() override {
        return return_value() < 0 ? py::object(py::none())
                                  : py::object(py::int_(static_cast<uint64_t>(number)));
    }
    Number number{};
};

// Submits a call on an open image by `call(completion, queue, image)`.
template <class Made, class Call>
py::object submit_on(std::unique_ptr<Made> completion, const py::object& self,
                     const py::object& oncomplete, const Call& call) {
    const Image& image = self.cast<const PyImage&>().get();
    Made& made = *completion;
    return submit(std::move(completion), self, oncomplete, [&] {
        engine::QueuePointer queue = Callbacks::get().queue();
        without_gil([&] { call(made, std::move(queue), image); });
    });
}

// As submit_on(), for a call that needs the exclusive lock. `write(queue, image)` submits it, and
// once more if an outage has left the lock behind.
py::object submit_write(std::unique_ptr<Completion> completion, const py::object& self,
                        const py::object& oncomplete, Completion::Write write);

template <class Call>
py::object submit_plain(const py::object& self, const py::object& oncomplete, const Call& call) {
    return submit_on(std::make_unique<Completion>(), self, oncomplete, call);
}

}  // namespace rbdxx::python
