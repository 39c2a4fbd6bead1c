// The thread that runs the Python callbacks of asynchronous calls, in the order in which librbd
// completed them. There is one for each interpreter. It starts with the first such call and ends
// with the interpreter. A forked child starts its own.
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
    // Returns the service of this interpreter in this process, with its thread running. Raises
    // RuntimeError if no thread can be started.
    static Callbacks& get();

    // Returns the queue that takes abandoned work. Call it before the submission of work that may
    // be abandoned. serve() starts its thread.
    static std::shared_ptr<engine::Queue> owner();
    // Makes sure that a thread takes abandoned work, while an exception is being raised. Further
    // exceptions of signal handlers are dropped. If no thread can be started, the next call that
    // starts the thread takes the work too.
    static void serve() noexcept;

    // The queue for items that are to be delivered by this thread.
    const std::shared_ptr<engine::Queue>& queue() const noexcept { return queue_; }

    // Waits until `done`, which `operation`'s deliver() sets before it calls notify(). Raises what
    // a signal handler raises. Inside a callback, delivers other items that have completed
    // meanwhile, and returns at once if `operation` is the one that is being delivered. Needs the
    // GIL. Throws DisconnectedError if `lost()` returns true: the connection has ended, so the
    // operation will never complete.
    void wait(const std::atomic<bool>& done, const engine::Operation& operation,
              const std::function<bool()>& lost);
    void notify() noexcept;

    // Closes a handle without the GIL. Returns the result of the C library's close. Raises what a
    // signal handler raises during the wait, unless `signals` is false; the calls under way then
    // close the handle. Inside a callback, delivers other items that have completed meanwhile: they
    // may keep the handle open, and only this thread can deliver them.
    static int close(Handle& handle, bool signals = true);

    // Inside a callback, delivers other items that have completed, because only this thread can. A
    // caller that waits for something else calls it between waits of pause(). Needs the GIL.
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
    // Starts the thread, unless it runs or the interpreter is ending. Throws RuntimeError if it
    // cannot be started, and what a signal handler raises meanwhile.
    void start_thread();
    bool drains_here() const noexcept { return drainer_.load() == std::this_thread::get_id(); }
    bool deliver_one();
    void drain_or_sleep();

    // The key of a service: another interpreter or a forked child cannot use its thread.
    PyInterpreterState* const interpreter_;
    const unsigned generation_;
    Callbacks* next_ = nullptr;

    std::shared_ptr<engine::Queue> queue_;
    engine::Item* pending_ = nullptr;  // taken, not yet delivered; for the drainer only
    std::atomic<std::thread::id> drainer_{};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> stopped_{false};  // the thread has ended: whoever waits delivers
    std::atomic<PyObject*> thread_{nullptr};
    std::atomic<bool> begun_{false};

    std::mutex mutex_;
    std::condition_variable delivered_;
    std::atomic<int> waiters_{0};
};

}  // namespace rbdxx::python
