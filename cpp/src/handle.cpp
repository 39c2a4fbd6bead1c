#include <rbdxx/error.hpp>
#include <rbdxx/handle.hpp>

#include <pthread.h>

namespace rbdxx {

namespace {

std::atomic<unsigned> generation{0};
thread_local int callbacks = 0;

void count_fork() {
    generation.fetch_add(1, std::memory_order_relaxed);
}

// Registered when the library is loaded into the process, before any handle can exist.
const int fork_watch = pthread_atfork(nullptr, nullptr, count_fork);

}  // namespace

unsigned fork_generation() noexcept {
    return generation.load(std::memory_order_relaxed);
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

int Handle::close() noexcept {
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
    if ((before & closed_bit) != 0) {
        if (!inside_callback && lent_.load() == 0) {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, [this] { return done_; });
        }
        return 0;
    }
    if (before != 0) {
        if (inside_callback) {
            return 0;
        }
        if (lent_.load() > 0) {
            deferred_.store(true);
            // The last borrower may have left before it could see that.
            if (users_.load() != closed_bit) {
                return 0;
            }
        } else {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, [this] { return done_ || users_.load() == closed_bit; });
        }
    }
    finish();
    return result_;
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
    int result = abandoned_.load() ? 0 : destroy();
    release();
    std::lock_guard<std::mutex> lock(mutex_);
    result_ = result;
    done_ = true;
    changed_.notify_all();
}

void Handle::throw_closed() const {
    throw ClosedError(describe() + " is closed", subject());
}

void Handle::throw_forked() const {
    throw ForkedError(
        describe() +
        " was opened before fork() and belongs to the parent process; open it anew here");
}

}  // namespace rbdxx
