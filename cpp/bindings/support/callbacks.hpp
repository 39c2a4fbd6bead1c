// The one thread that runs Python callbacks of asynchronous calls, in the order in which librbd
// completed them. It starts with the first such call, ends with the interpreter, and starts anew in
// a forked child.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <rbdxx/engine.hpp>

namespace rbdxx::python {

namespace py = pybind11;

class Callbacks {
public:
    // This interpreter's, in this process; with its thread running. Raises RuntimeError where no
    // thread can be started.
    static Callbacks& get();

    // Where what is abandoned ends: made before anything is submitted that may be abandoned. Its
    // thread is started by serve().
    static std::shared_ptr<engine::Queue> owner();
    // Sees to it that somebody takes what was abandoned, while an exception is on its way: what
    // signal handlers raise besides is dropped. Where no thread can be started, the next call that
    // starts it does.
    static void serve() noexcept;

    // Where items go that are to be delivered here.
    const std::shared_ptr<engine::Queue>& queue() const noexcept { return queue_; }

    // Waits until `done`, which `operation`'s deliver() sets before it calls notify(); raises what
    // a signal handler raises. Inside a callback, delivers what else has completed meanwhile, and
    // returns at once for the very operation that is being delivered. Needs the GIL.
    // Throws DisconnectedError where `lost()`: the connection is gone, and it will never complete.
    void wait(const std::atomic<bool>& done, const engine::Operation& operation,
              const std::function<bool()>& lost);
    void notify() noexcept;

    // Closes a handle without the GIL; returns what the C library's close did. Raises what a signal
    // handler raises while it waits, unless `signals` is false: the calls under way then close.
    // Inside a callback, delivers what else has completed meanwhile: only this thread can, and the
    // handle may be open for that.
    static int close(Handle& handle, bool signals = true);

    // Inside a callback, delivers what else has completed, which only this thread can: for one that
    // waits for something else meanwhile, pause() at a time. Needs the GIL.
    static void deliver_here();
    static std::chrono::milliseconds pause() noexcept;

    // The body of the thread.
    void run();
    // Delivers what completes within a moment, and ends the thread. For the end of the interpreter.
    static void stop();

private:
    Callbacks();
    static Callbacks* find() noexcept;
    static Callbacks* find(Callbacks* first) noexcept;
    static Callbacks& find_or_make();
    // Unless it is there, or the interpreter is ending. Throws RuntimeError where it cannot be
    // started, and what a signal handler raises meanwhile.
    void start_thread();
    bool drains_here() const noexcept { return drainer_.load() == std::this_thread::get_id(); }
    bool deliver_one();
    void drain_or_sleep();

    // Keyed by both: neither another interpreter nor a forked child can use this one's thread.
    PyInterpreterState* const interpreter_;
    const unsigned generation_;
    Callbacks* next_ = nullptr;

    std::shared_ptr<engine::Queue> queue_;
    engine::Item* pending_ = nullptr;  // taken, not yet delivered; the drainer's own
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
