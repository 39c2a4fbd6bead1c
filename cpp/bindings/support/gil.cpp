#include "gil.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

namespace rbdxx::python {

namespace {

// The time that the end of the interpreter waits for calls in other threads.
constexpr auto last_calls = std::chrono::seconds(1);
constexpr auto look_interval = std::chrono::milliseconds(1);

// The number of threads that are in calls without the GIL. A thread that waits for the answer of a
// callback does not count, because that answer never comes at the interpreter's end.
std::atomic<int> under_way{0};
// A forked child has none of those threads.
const int fork_watch = pthread_atfork(nullptr, nullptr, [] { under_way.store(0); });

// The question that this thread is answering.
thread_local Question* asked = nullptr;

// The queue that holds operations of this thread.
thread_local engine::Queue* holding = nullptr;

thread_local std::shared_ptr<Cancellation> heeded;

// Calls `take`, which takes the GIL. If the interpreter is gone, CPython ends the thread by
// unwinding its stack. The thread stays here forever in place of that.
template <class Take>
void stay_if_gone(const Take& take) {
    try {
        take();
    } catch (...) {
        for (;;) {
            pause();
        }
    }
}

void take_gil(PyThreadState* state) {
    stay_if_gone([&] { PyEval_RestoreThread(state); });
}

#ifdef __GLIBC__
// Ends the process without the destructors of static objects.
void leave(int status, void*) {
    std::fflush(nullptr);
    ::_exit(status);
}
#endif

}  // namespace

void with_gil(const std::function<void()>& body) {
    PyGILState_STATE state{};
    stay_if_gone([&] { state = PyGILState_Ensure(); });
    body();
    PyGILState_Release(state);
}

Answering::Answering(Question& question) : outer_(std::exchange(asked, &question)) {}

Answering::~Answering() {
    asked = outer_;
}

Holding::Holding(engine::Queue& queue) noexcept
    : queue_(queue), outer_(std::exchange(holding, &queue)) {
    queue_.start_holding();
}

Holding::~Holding() {
    queue_.stop_holding();
    if (queue_.has_held()) {
        without_gil([] {});  // which submits them
    }
    holding = outer_;
}

UnderWay::UnderWay() noexcept {
    under_way.fetch_add(1, std::memory_order_relaxed);
}

UnderWay::~UnderWay() {
    under_way.fetch_sub(1, std::memory_order_release);
}

void UnderWay::pause(const std::function<void()>& body) {
    under_way.fetch_sub(1, std::memory_order_release);
    body();
    under_way.fetch_add(1, std::memory_order_relaxed);
}

GilRelease::GilRelease() : state_(PyEval_SaveThread()) {
    if (asked != nullptr) {
        asked->go_on();
    }
    if (holding != nullptr) {
        holding->submit_held();
    }
    under_way.fetch_add(1, std::memory_order_relaxed);
}

GilRelease::~GilRelease() {
    under_way.fetch_sub(1, std::memory_order_release);
    take_gil(state_);
}

void let_calls_end() noexcept {
    const auto end = std::chrono::steady_clock::now() + last_calls;
    while (under_way.load(std::memory_order_acquire) > 0 &&
           std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(look_interval);
    }
#ifdef __GLIBC__
    if (handles_remain()) {
        // Runs before everything that has been registered so far.
        ::on_exit(leave, nullptr);
    }
#endif
}

void check_signals() {
    CallbackScope scope;
    if (PyErr_CheckSignals() != 0) {
        throw py::error_already_set();
    }
    check_cancellation();
}

void check_cancellation() {
    if (heeded != nullptr) {
        heeded->check();
    }
}

void heed(std::shared_ptr<Cancellation> cancellation) noexcept {
    heeded = std::move(cancellation);
}

bool heeds_cancellation() noexcept {
    return heeded != nullptr;
}

void Cancellation::check() {
    if (!cancelled() || std::exchange(raised_, true)) {
        return;
    }
    py::object type = py::module_::import("asyncio").attr("CancelledError");
    PyErr_SetNone(type.ptr());
    throw py::error_already_set();
}

bool signal_raised(PyThreadState* state, std::optional<py::error_already_set>& raised) {
    GilReacquire acquire(state);
    try {
        check_signals();
    } catch (py::error_already_set& error) {
        raised.emplace(error);
        return true;
    }
    return false;
}

GilReacquire::GilReacquire(PyThreadState* state) {
    under_way.fetch_sub(1, std::memory_order_release);
    take_gil(state);
}

GilReacquire::~GilReacquire() {
    PyEval_SaveThread();
    under_way.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace rbdxx::python
