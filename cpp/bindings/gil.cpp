#include "gil.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <rbdxx/handle.hpp>

namespace rbdxx::python {

namespace {

// How long a signal may wait to be seen.
constexpr auto signal_interval = std::chrono::milliseconds(50);
// How long the end of the interpreter waits for calls in other threads.
constexpr auto last_calls = std::chrono::seconds(1);
constexpr auto look_interval = std::chrono::milliseconds(1);

// How many threads are in calls without the GIL. One that waits for the answer of a callback is
// not: at the interpreter's end that never comes.
std::atomic<int> under_way{0};

// What the calling thread and the thread in librbd tell each other.
struct Exchange {
    std::mutex mutex;
    std::condition_variable changed;
    bool asked = false;  // a progress report waits for its answer
    uint64_t done = 0;
    uint64_t total = 0;
    std::optional<int> answer;
    bool cancelled = false;  // an exception waits: stop, and report no more
    bool finished = false;
    // The callback is in a call of its own, for which librbd goes on; what is reported meanwhile is
    // left out, and what the callback answers in the end is for the report after that.
    bool busy = false;
    int late_answer = 0;
    std::exception_ptr failure;
    const unsigned generation = fork_generation();

    int report(uint64_t now_done, uint64_t now_total) {
        std::unique_lock<std::mutex> lock(mutex);
        // librbd may report from several of its threads at once: one question at a time.
        changed.wait(lock, [this] { return !asked || cancelled || busy; });
        if (cancelled) {
            return -ECANCELED;
        }
        if (busy) {
            return 0;
        }
        if (late_answer < 0) {
            return std::exchange(late_answer, 0);
        }
        asked = true;
        done = now_done;
        total = now_total;
        answer.reset();
        changed.notify_all();
        under_way.fetch_sub(1);
        changed.wait(lock, [this] { return answer.has_value(); });
        under_way.fetch_add(1);
        int result = *answer;
        asked = false;
        changed.notify_all();
        return result;
    }

    // librbd reports with locks held that its other threads come to want: it would wait for the
    // answer with all of them, and no call from inside the callback would ever end.
    void go_on() noexcept {
        if (generation != fork_generation()) {
            return;  // a child's, in which there is no thread that waits
        }
        std::lock_guard<std::mutex> lock(mutex);
        if (asked && !answer) {
            answer = 0;
            busy = true;
            changed.notify_all();
        }
    }

    void set_answer(int given) {
        if (std::exchange(busy, false)) {
            late_answer = given;
        } else {
            answer = given;
        }
    }
};

// Whose question this thread is answering.
thread_local Exchange* asking = nullptr;

// The thread in librbd and what it shares with the calling one.
struct Work {
    Exchange exchange;
    std::thread thread;
};

// Calls back into Python for one report; a negative integer asks to stop, None goes on.
int ask(const py::object& on_progress, Exchange& exchange) {
    struct Asking {
        explicit Asking(Exchange& now) : outer(std::exchange(asking, &now)) {}
        ~Asking() { asking = outer; }
        Asking(const Asking&) = delete;
        Asking& operator=(const Asking&) = delete;
        Exchange* const outer;
    };
    CallbackScope scope;
    Asking of(exchange);
    py::object result = on_progress(exchange.done, exchange.total);
    return result.is_none() ? 0 : result.cast<int>();
}

// Where the interpreter is gone, the thread stays here for ever. What is caught then is nowhere, so
// that no reference to it satisfies the sanitizer.
[[gnu::no_sanitize("null")]] void take_gil(PyThreadState* state) {
    try {
        PyEval_RestoreThread(state);
    } catch (::abi::__forced_unwind&) {
        for (;;) {
            pause();
        }
    }
}

#ifdef __GLIBC__
// An end of the process without the destructors of static objects.
void leave(int status, void*) {
    std::fflush(nullptr);
    ::_exit(status);
}
#endif

}  // namespace

GilRelease::GilRelease() : state_(PyEval_SaveThread()) {
    if (asking != nullptr) {
        asking->go_on();
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
        // Comes before all that has been registered so far.
        ::on_exit(leave, nullptr);
    }
#endif
}

GilReacquire::GilReacquire(PyThreadState* state) {
    under_way.fetch_sub(1, std::memory_order_release);
    take_gil(state);
}

GilReacquire::~GilReacquire() {
    PyEval_SaveThread();
    under_way.fetch_add(1, std::memory_order_relaxed);
}

void long_call(const py::object& on_progress, const std::function<void(const Progress&)>& call) {
    if (!on_progress.is_none() && PyCallable_Check(on_progress.ptr()) == 0) {
        throw py::type_error("on_progress must be callable or None");
    }
    auto work = std::make_unique<Work>();
    Exchange& exchange = work->exchange;
    const bool reports = !on_progress.is_none();
    std::optional<py::error_already_set> raised;

    work->thread = std::thread([&] {
        under_way.fetch_add(1);
        Progress progress = [&](uint64_t done, uint64_t total) {
            if (reports) {
                return exchange.report(done, total);
            }
            std::lock_guard<std::mutex> lock(exchange.mutex);
            return exchange.cancelled ? -ECANCELED : 0;
        };
        std::exception_ptr failure;
        try {
            call(progress);
        } catch (...) {
            failure = std::current_exception();
        }
        under_way.fetch_sub(1);
        std::lock_guard<std::mutex> lock(exchange.mutex);
        exchange.failure = failure;
        exchange.finished = true;
        exchange.changed.notify_all();
    });

    for (;;) {
        bool question = false;
        bool finished = false;
        {
            GilRelease release;
            std::unique_lock<std::mutex> lock(exchange.mutex);
            exchange.changed.wait_for(lock, signal_interval, [&] {
                return exchange.finished || (exchange.asked && !exchange.answer);
            });
            finished = exchange.finished;
            question = exchange.asked && !exchange.answer;
        }
        if (finished) {
            break;
        }
        int answer = 0;
        try {
            if (!raised) {
                // A handler may close what the call works on, as a callback may.
                CallbackScope scope;
                if (PyErr_CheckSignals() != 0) {
                    throw py::error_already_set();
                }
            }
            if (question && !raised) {
                answer = ask(on_progress, exchange);
            }
        } catch (py::error_already_set& error) {
            raised.emplace(error);
        } catch (const py::cast_error&) {
            try {
                throw py::type_error("on_progress must return an int or None");
            } catch (const py::type_error& error) {
                error.set_error();
                raised.emplace();
            }
        }
        if (exchange.generation != fork_generation()) {
            // This is a child now, without the other thread, whose mutex may be locked for ever.
            work.release();  // NOLINT(bugprone-unused-return-value)
            if (raised) {
                throw std::move(*raised);
            }
            throw ForkedError("the call belongs to the parent process of this fork()");
        }
        std::lock_guard<std::mutex> lock(exchange.mutex);
        if (raised) {
            exchange.cancelled = true;
            answer = -ECANCELED;
        }
        if (question) {
            exchange.set_answer(answer);
        }
        exchange.changed.notify_all();
    }
    without_gil([&] { work->thread.join(); });
    if (raised) {
        throw std::move(*raised);
    }
    if (exchange.failure) {
        std::rethrow_exception(exchange.failure);
    }
}

}  // namespace rbdxx::python
