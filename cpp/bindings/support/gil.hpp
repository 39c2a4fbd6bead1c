// The interpreter lock: released for the whole of every C call, through these helpers alone.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <rbdxx/handle.hpp>

namespace rbdxx::python {

namespace py = pybind11;

// What one of librbd's threads waits to be told, by a thread that runs Python code for the answer.
class Question {
public:
    Question() = default;
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;
    // That code calls librbd, which may need what the waiting thread holds: have it go on.
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

// How long a signal may wait to be seen.
constexpr auto signal_interval = std::chrono::milliseconds(50);

// A request, from any thread, to end the call of another one. That thread sees it where it would
// see a signal, as asyncio.CancelledError: once, so that it can clean up.
class Cancellation {
public:
    void cancel() noexcept { cancelled_.store(true, std::memory_order_release); }
    bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
    // Raises CancelledError if that is due. For the thread that the request is made to.
    void check();

private:
    std::atomic<bool> cancelled_{false};
    bool raised_ = false;
};

// Has the calls of this thread heed the cancellation; null: none any more.
void heed(std::shared_ptr<Cancellation> cancellation) noexcept;

// Whether this thread works for a task of asyncio, which does not wait any more once it is
// cancelled.
bool heeds_cancellation() noexcept;

// Raises CancelledError for a cancellation that this thread heeds.
void check_cancellation();

// Raises what a signal handler raises, and CancelledError for a cancellation that this thread
// heeds. A handler may close what the call works on, as a callback may.
void check_signals();

// As check_signals(), in a call without the GIL of the thread that has that state: puts what is
// raised into `raised`, and tells whether there was something.
bool signal_raised(PyThreadState* state, std::optional<py::error_already_set>& raised);

}  // namespace rbdxx::python
