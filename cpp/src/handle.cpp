#include <rbdxx/detail/start_thread.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/handle.hpp>

#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace rbdxx {

namespace {

std::atomic<unsigned> generation{0};
std::atomic<bool> ending{false};
// The time that a close at the end of the process waits for calls under way.
constexpr auto last_wait = std::chrono::milliseconds(500);
// The time that all closes at the end of the process together wait for the cluster.
constexpr auto last_answers = std::chrono::seconds(10);
std::atomic<std::chrono::steady_clock::time_point> deadline{};
constexpr std::chrono::nanoseconds look = std::chrono::milliseconds(100);
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
    // Freed already, unless the constructor of a derived class threw.
    if (!freeing_ && !forked()) {
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

Handle::State Handle::state() const noexcept {
    Lock lock(mutex_);
    return state_;
}

Handle::Closing::Closing(Handle& handle) noexcept : handle_(handle) {
    if (handle_.forked()) {
        // fork() may have copied the lock while another thread held it.
        handle_.entries_.fetch_or(shut);
        return;
    }
    Lock lock(handle_.mutex_);
    handle_.entries_.fetch_or(shut, std::memory_order_acq_rel);
    if (handle_.state_ == State::open) {
        handle_.state_ = State::closing;
    } else if (handle_.state_ == State::abandoned) {
        handle_.state_ = State::closed;
    }
    if (handle_.state_ == State::closing) {
        waits_ = true;
        ++handle_.waiting_;
    }
}

Handle::Closing::~Closing() {
    if (waits_ && !handle_.forked()) {
        Lock lock(handle_.mutex_);
        if (--handle_.waiting_ == 0 && handle_.freeable()) {
            handle_.free(lock);
        }
    }
}

bool Handle::Closing::wait_for(std::chrono::nanoseconds time) noexcept {
    if (!waits_ || handle_.forked()) {
        return true;
    }
    Lock lock(handle_.mutex_);
    const auto begin = std::chrono::steady_clock::now();
    std::chrono::nanoseconds waited{0};
    for (;;) {
        if (handle_.freeable()) {
            handle_.free(lock);
        }
        if (handle_.state_ != State::closing) {
            result_ = handle_.result_;
            return true;
        }
        if (handle_.lent_ > 0 || CallbackScope::active() ||
            (ending.load() && std::chrono::steady_clock::now() - begun_ >= last_wait)) {
            return true;
        }
        if (waited >= time) {
            return false;
        }
        // In short sleeps, because nothing wakes this when the process is about to end.
        handle_.changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(time - waited, look));
        waited = std::chrono::steady_clock::now() - begin;
    }
}

int Handle::close() noexcept {
    Closing closing(*this);
    closing.wait_for(std::chrono::nanoseconds::max());
    return closing.result();
}

bool Handle::close_later(const std::function<void()>& first) {
    Lock lock(mutex_);
    if (state_ != State::open) {
        return false;
    }
    first();
    state_ = State::closing;
    entries_.fetch_or(shut, std::memory_order_acq_rel);
    if (freeable()) {
        free(lock);
    }
    return true;
}

void Handle::abandon() noexcept {
    if (forked()) {
        entries_.fetch_or(shut);
        return;
    }
    Lock lock(mutex_);
    entries_.fetch_or(shut, std::memory_order_acq_rel);
    if (freeing_ || state_ == State::closed || state_ == State::abandoned) {
        return;
    }
    state_ = State::abandoned;
    changed_.notify_all();
    if (freeable()) {
        free(lock);
    }
}

void Handle::lend() noexcept {
    if (forked()) {
        return;
    }
    Lock lock(mutex_);
    ++lent_;
    changed_.notify_all();
}

void Handle::take_back() noexcept {
    if (forked()) {
        return;
    }
    Lock lock(mutex_);
    --lent_;
}

void Handle::leave_from_library(const std::shared_ptr<Handle>& handle) noexcept {
    if (handle->entries_.fetch_sub(1, std::memory_order_acq_rel) == (shut | 1U)) {
        handle->last_out(&handle);
    }
}

void Handle::last_out(const std::shared_ptr<Handle>* from_library) noexcept {
    if (forked()) {
        return;
    }
    // Locked, so that a close cannot miss this between its check and its wait.
    Lock lock(mutex_);
    if (waiting_ > 0) {
        changed_.notify_all();
    } else if (freeable() && from_library == nullptr) {
        free(lock);
    } else if (freeable()) {
        // Rare: closed without waiting. Without a thread, the next close frees the handle, or the
        // last share does.
        detail::try_start_thread([handle = *from_library] {
            Lock own(handle->mutex_);
            if (handle->freeable()) {
                handle->free(own);
            }
        });
    }
}

void Handle::free(Lock& lock) noexcept {
    freeing_ = true;
    lock.unlock();
    std::shared_ptr<Handle> self = ending.load() ? weak_from_this().lock() : nullptr;
    if (self == nullptr) {
        free_now();
        lock.lock();
        return;
    }
    // The library waits for the cluster without a limit. It does so in a thread that does not keep
    // the process from ending. Without a thread, the handle leaks.
    const bool started = detail::try_start_thread([self] { self->free_now(); });
    lock.lock();
    if (!started) {
        return;
    }
    changed_.wait_until(lock, deadline.load(), [this] { return freed_; });
}

void Handle::free_now() noexcept {
    int result = 0;
    if (state() == State::closing) {
        result = destroy();
        remaining.fetch_sub(1);
    }
    release();
    Lock lock(mutex_);
    result_ = result;
    freed_ = true;
    if (state_ == State::closing) {
        state_ = State::closed;
    }
    changed_.notify_all();
}

void Handle::throw_shut() const {
    if (state() == State::abandoned) {
        throw_disconnected();
    }
    throw ClosedError(describe() + " is closed", subject());
}

void Handle::throw_disconnected() const {
    throw DisconnectedError("the connection of " + describe() + " is shut down", subject());
}

void Handle::throw_forked() const {
    throw ForkedError(describe() +
                          " was opened before fork() and belongs to the parent process; open it "
                          "again in this process",
                      subject());
}

}  // namespace rbdxx
