// The stock module's Completion: an asynchronous call with a Python callback.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <functional>
#include <memory>

#include "callbacks.hpp"
#include "image.hpp"

namespace rbdxx::python {

class Completion : public PyOperation {
public:
    Completion();

    // The callback's second argument, and what is to be done before it is called; a null object for
    // a callback that takes the completion alone. Runs with the GIL, once settled.
    virtual py::object answer() { return {}; }
    // Lets go of the memory of the call. With the GIL.
    virtual void release() {}

    void deliver() noexcept override;
    ssize_t return_value() const noexcept { return settled() ? result() : 0; }
    void wait();

    int traverse(visitproc visit, void* argument) const;
    void clear();

protected:
    const py::object& owner() const noexcept { return owner_; }

private:
    friend py::object launch(std::unique_ptr<Completion> completion, const py::object& owner,
                             const py::object& callback, const std::function<void()>& start);

    Callbacks* const callbacks_;
    py::object self_;   // in flight, it keeps itself
    py::object owner_;  // the image, or whatever else must live until it is done
    py::object callback_;
    py::object exception_;
    std::atomic<bool> delivered_{false};
};

// Makes the Python Completion of a call that `start()` submits, with Callbacks' queue. `callback`
// is a callable or None, else TypeError before anything is done.
py::object launch(std::unique_ptr<Completion> completion, const py::object& owner,
                  const py::object& callback, const std::function<void()>& start);

}  // namespace rbdxx::python
