#include <rbdxx/error.hpp>
#include <rbdxx/handle.hpp>

#include <pthread.h>

#include <chrono>
#include <system_error>
#include <thread>

namespace rbdxx {

namespace {

std::atomic<unsigned> generation{0};
std::atomic<bool> ending{false};
// How long a close at the end of the process waits for calls under way.
constexpr auto last_wait = std::chrono::milliseconds(500);
// How long all closes at the end of the process wait for the cluster.
constexpr auto last_answers = std::chrono::seconds(10);
std::atomic<std::chrono::steady_clock::time_point> deadline{};
constexpr auto look_interval = std::chrono::milliseconds(100);
thread_local int callbacks = 0;
std::atomic<int> remaining{0};

void count_fork() {
    generation.fetch_add(1, std::memory_order_relaxed);
    remaining.store(0);
}

// Registered when the library is loaded into the process, before any handle can exist.
const int fork_watch = pthread_atfork(nullptr, nullptr, count_fork);

}  // namespace

unsigned fork_generation() noexcept {
    return generation.load(std::memory_order_relaxed);
}

void end_of_process() noexcept {
    deadline.store(std::chrono::steady_clock::now() + last_answers);
    ending.store(true);
}

bool handles_remain() noexcept {
    return remaining.load() > 0;
}

Handle::Handle() : generation_(fork_generation()) {
    remaining.fetch_add(1);
}

Handle::~Handle() {
    // Freed already, unless it never came to have a C handle.
    if (!finished_.load() && !forked()) {
        remaining.fetch_sub(1);
    }
}

CallbackScope::CallbackScope() noexcept {
    ++callbacks;
}
CallbackScope::~CallbackScope() {
    --callbacks;
}
bool CallbackScope::active() noexcept {
    return callbacks > 0;
}

int Handle::close(const Waiting& waiting) noexcept {
    if (forked()) {
        // A lock or a count may have been copied in the middle of another thread's use: touch
        // neither.
        users_.fetch_or(closed_bit, std::memory_order_acq_rel);
        return 0;
    }
    const bool inside_callback = CallbackScope::active();
    if (inside_callback) {
        deferred_.store(true);
    }
    uint32_t before = users_.fetch_or(closed_bit, std::memory_order_acq_rel);
    // What is lent out, was left behind or is under way over a lost connection may never end.
    auto hopeless = [this] { return lent_.load() > 0 || abandoned_.load(); };
    if ((before & closed_bit) != 0) {
        if (!inside_callback) {
            wait(waiting, [&] { return done_ || hopeless(); });
        }
        return 0;
    }
    if (before != 0) {
        if (inside_callback) {
            return 0;
        }
        bool over = false;
        auto until = [&] {
            over = done_ || users_.load() == closed_bit;
            return over || hopeless();
        };
        if (!wait(waiting, until)) {
            return 0;
        }
        if (!over) {
            deferred_.store(true);
            // The last one may have left before it could see that.
            if (users_.load() != closed_bit) {
                return 0;
            }
        }
    }
    finish();
    return result_;
}

bool Handle::wait(const Waiting& waiting, const std::function<bool()>& until) noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    std::chrono::nanoseconds waited{0};
    while (!until()) {
        if (waiting.pump) {
            lock.unlock();
            waiting.pump();
            lock.lock();
            continue;
        }
        if (changed_.wait_for(lock, look_interval) != std::cv_status::timeout) {
            continue;
        }
        if (ending.load()) {
            waited += look_interval;
            if (waited >= last_wait) {
                return false;
            }
        }
        if (waiting.interrupted) {
            lock.unlock();
            const bool interrupted = waiting.interrupted();
            lock.lock();
            if (interrupted) {
                return true;
            }
        }
    }
    return true;
}

void Handle::close_later() {
    enter();
    deferred_.store(true);
    users_.fetch_or(closed_bit, std::memory_order_acq_rel);
    leave();
}

void Handle::leave_from_library(const std::shared_ptr<Handle>& handle) noexcept {
    if (handle->users_.fetch_sub(1, std::memory_order_acq_rel) != (closed_bit | 1U)) {
        return;
    }
    if (!handle->deferred_.load()) {
        handle->last_out();
        return;
    }
    // Rare: closed without waiting, by aio::close() or inside a callback.
    try {
        std::thread([handle] { handle->finish(); }).detach();
    } catch (const std::system_error&) {
        handle->abandon();
        handle->finish();
    }
}

void Handle::last_out() noexcept {
    if (deferred_.load()) {
        finish();
        return;
    }
    // Locked, so that close() cannot miss this between its look and its wait.
    std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
}

void Handle::finish() noexcept {
    if (finished_.exchange(true)) {
        return;
    }
    if (forked()) {
        return;
    }
    std::shared_ptr<Handle> self = ending.load() ? weak_from_this().lock() : nullptr;
    if (self == nullptr) {
        free_handle();
        return;
    }
    // The library waits for the cluster without an end: it does so in a thread that the end of the
    // process takes along.
    try {
        std::thread([self] { self->free_handle(); }).detach();
    } catch (const std::system_error&) {
        return;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, deadline.load(), [this] { return done_; });
}

void Handle::free_handle() noexcept {
    int result = 0;
    if (!abandoned_.load()) {
        result = destroy();
        remaining.fetch_sub(1);
    }
    release();
    std::lock_guard<std::mutex> lock(mutex_);
    result_ = result;
    done_ = true;
    changed_.notify_all();
}

void Handle::throw_closed() const {
    throw ClosedError(describe() + " is closed", subject());
}

void Handle::throw_disconnected() const {
    throw DisconnectedError("the connection of " + describe() + " is shut down", subject());
}

void Handle::throw_forked() const {
    throw ForkedError(
        describe() +
            " was opened before fork() and belongs to the parent process; open it anew here",
        subject());
}

}  // namespace rbdxx
