// The GIL. Every C call runs without it, by these helpers only.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <rbdxx/engine.hpp>
#include <rbdxx/handle.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// A question from a librbd thread, answered by a thread that runs Python code.
class Question {
public:
    Question() = default;
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;
    // Lets the waiting thread continue: the Python code calls librbd, which may need what that
    // thread holds.
    virtual void go_on() noexcept = 0;

protected:
    ~Question() = default;
};

// Marks that this thread answers the question, for its calls without the GIL.
class Answering {
public:
    explicit Answering(Question& question);
    ~Answering();
    Answering(const Answering&) = delete;
    Answering& operator=(const Answering&) = delete;

private:
    Question* const outer_;
};

// While it lives, the queue holds operations of this thread. Each call without the GIL submits them
// first, because it may wait for them; the end submits the rest.
class Holding {
public:
    explicit Holding(engine::Queue& queue) noexcept;
    ~Holding();
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;

private:
    engine::Queue& queue_;
    engine::Queue* const outer_;
};

// Counts a thread without the GIL that is in a call, for let_calls_end().
class UnderWay {
public:
    UnderWay() noexcept;
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    // Does not count the calling thread while `body` runs.
    static void pause(const std::function<void()>& body);
};

// Releases the GIL for its lifetime. If the interpreter is gone at the end, the thread stays there
// forever, as in Python 3.14. Older Pythons end such a thread by unwinding its stack: that would
// abort the process in the first destructor, and release Python objects without the GIL.
class GilRelease {
public:
    GilRelease();
    ~GilRelease();
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

private:
    PyThreadState* state_;
};

// For the very end of the interpreter, after which no call begins. The exit of the process destroys
// objects that librbd uses. Therefore this waits a moment for the calls of daemon threads. If
// handles remain, it makes the process end, with its own status, without those destructors.
void let_calls_end() noexcept;

// Holds the GIL for its lifetime, in a thread that has released it; `state` is what that thread had
// before. pybind11's class would use the interpreter in which the thread began.
class GilReacquire {
public:
    explicit GilReacquire(PyThreadState* state);
    ~GilReacquire();
    GilReacquire(const GilReacquire&) = delete;
    GilReacquire& operator=(const GilReacquire&) = delete;
};

// Runs `call` without the GIL. Convert all arguments before, and all results after.
template <class Call>
auto without_gil(Call&& call) {
    GilRelease release;
    return std::forward<Call>(call)();
}

// Runs `body` with the GIL, in a thread that may never have had it.
void with_gil(const std::function<void()>& body);

// Destroys the value of a Python object without the GIL. pybind11's own way to do so crashes in a
// thread that is still at it when the interpreter ends.
struct DeleteWithoutGil {
    template <class T>
    void operator()(T* value) const {
        without_gil([&] { delete value; });
    }
};
template <class T>
using Unlocked = std::unique_ptr<T, DeleteWithoutGil>;

// The longest time between two checks for signals.
constexpr auto signal_interval = std::chrono::milliseconds(50);

// A request, from any thread, to end the call of another thread. That thread gets
// asyncio.CancelledError at the points where it checks for signals. It gets it only once, so that
// it can clean up.
class Cancellation {
public:
    void cancel() noexcept { cancelled_.store(true, std::memory_order_release); }
    bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
    // Raises CancelledError if it has been requested and not yet raised. For the thread that the
    // request is for.
    void check();

private:
    std::atomic<bool> cancelled_{false};
    bool raised_ = false;
};

// Makes the calls of this thread heed the cancellation; null ends that.
void heed(std::shared_ptr<Cancellation> cancellation) noexcept;

// Returns whether this thread works for an asyncio task, which stops waiting once it is cancelled.
bool heeds_cancellation() noexcept;

// Raises CancelledError for a cancellation that this thread heeds.
void check_cancellation();

// Raises what a signal handler raises, and CancelledError for a cancellation that this thread
// heeds. A handler may close the object that the call uses, as a callback may.
void check_signals();

// As check_signals(), inside a call without the GIL; `state` is the calling thread's. Stores what
// was raised in `raised`. Returns whether anything was raised.
bool signal_raised(PyThreadState* state, std::optional<py::error_already_set>& raised);

}  // namespace rbdxx::python
