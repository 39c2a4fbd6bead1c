// The one thread that runs Python callbacks of asynchronous calls, in the order in which librbd
// settled them. It starts with the first such call, ends with the interpreter, and starts anew in a
// forked child.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <rbdxx/aio.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// An asynchronous call whose end concerns Python.
class PyOperation : public aio::Operation {
public:
    // What is to be done now that it has settled; with the GIL. May destroy the operation.
    virtual void deliver() noexcept = 0;
    // Whether it can never settle, because the connection under it is gone; with the GIL.
    virtual bool lost() { return false; }
};

class Callbacks {
public:
    // This interpreter's, in this process; with its thread running.
    static Callbacks& get();

    // Where what is left behind ends, while an exception is on its way: what signal handlers raise
    // besides is dropped.
    static std::shared_ptr<aio::Queue> heir();

    // Where operations go that are to be delivered here; all must be PyOperations.
    const std::shared_ptr<aio::Queue>& queue() const noexcept { return queue_; }

    // Waits until `done`, which `operation`'s deliver() sets before it calls notify(); raises what
    // a signal handler raises. Inside a callback, delivers what else has settled meanwhile, and
    // returns at once for the very operation that is being delivered. Needs the GIL.
    // Throws ClosedError for one that is lost.
    void wait(const std::atomic<bool>& done, PyOperation* operation);
    void notify() noexcept;

    // What a close of `handle` must do in place of sleeping, so that a callback can close the image
    // whose operations only this thread can deliver; empty outside callbacks. Needs the GIL.
    static std::function<void()> pump_for(const Handle* handle);

    // The body of the thread.
    void run();
    // Delivers what settles within a moment, and ends the thread. For the end of the interpreter.
    static void stop();

private:
    Callbacks();
    static Callbacks* find() noexcept;
    static Callbacks& find_or_make();
    // Unless it is there. Throws what a signal handler raises meanwhile.
    void start_thread();
    bool drains_here() const noexcept { return drainer_.load() == std::this_thread::get_id(); }
    bool deliver_one();
    void drain_or_sleep();

    // Keyed by both: neither another interpreter nor a forked child can use this one's thread.
    PyInterpreterState* const interpreter_;
    const unsigned generation_;
    Callbacks* next_ = nullptr;

    std::shared_ptr<aio::Queue> queue_;
    aio::Operation* pending_ = nullptr;  // taken, not yet delivered; the drainer's own
    std::atomic<std::thread::id> drainer_{};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> stopped_{false};  // no thread any more: whoever waits delivers
    std::atomic<PyObject*> thread_{nullptr};
    std::atomic<bool> begun_{false};

    std::mutex mutex_;
    std::condition_variable delivered_;
    std::atomic<int> waiters_{0};
};

}  // namespace rbdxx::python
