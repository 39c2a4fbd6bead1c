// The owner of a C handle: it counts the calls under way, closes once, and knows about fork().
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx {

// Returns how many times a process was forked between the one that loaded this library and this
// one. A handle made under another count belongs to another process: the library's threads that
// serve it do not exist here.
unsigned fork_generation() noexcept;

// While it lives, this thread runs a callback of a call under way. A close() from inside the
// callback must not wait for that call, because the call waits for the callback.
class CallbackScope {
public:
    CallbackScope() noexcept;
    ~CallbackScope();
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;
    // Returns whether this thread runs such a callback.
    static bool active() noexcept;
};

// Announces that the process is about to end. From now on close() waits only a moment for calls
// under way, and ten seconds in all for a cluster that does not answer. After that it leaks the
// handles.
void end_of_process() noexcept;

// Returns whether this process has C handles that were not freed, the abandoned ones included. The
// C library's threads may still use what belongs to them.
bool handles_remain() noexcept;

// Watches over a connection that belongs to another library, which may shut it down. A handle over
// it asks the guard at each use.
class Guard {
public:
    Guard() = default;
    virtual ~Guard() = default;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    // Returns whether the connection was shut down. Any thread may ask, until the handle is closed.
    virtual bool gone() const noexcept = 0;
};

// Base of the shared state behind Cluster, IoCtx and Image. Thread-safe.
//
// A handle is in one of four states:
//
//   open       enter() and leave() bracket each use of the C handle.
//   closing    close() has begun: enter() throws ClosedError, the uses under way end.
//   closed     The C handle is freed, exactly once.
//   abandoned  The connection is gone: the C handle is never freed, enter() throws
//              DisconnectedError until close() makes the handle a closed one.
//
// Who frees the handle: a thread that waits in close(), if there is one, so that leave() is
// cheap; else the last one to leave. A process that inherited the handle by fork() never frees it.
class Handle : public std::enable_shared_from_this<Handle> {
public:
    enum class State { open, closing, closed, abandoned };

    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    virtual ~Handle();

    // Throws ForkedError, ClosedError or DisconnectedError if the handle cannot be used.
    void enter() {
        if (generation_ != fork_generation()) {
            throw_forked();
        }
        if ((entries_.fetch_add(1, std::memory_order_acquire) & shut) != 0) {
            leave();
            throw_shut();
        }
        // Last: what it asks about may be gone once the handle is closed.
        if (guard_ != nullptr && guard_->gone()) {
            leave();
            throw_disconnected();
        }
    }

    // Ends the use that enter() began. The caller keeps a share of the handle until this returns.
    void leave() noexcept {
        if (entries_.fetch_sub(1, std::memory_order_acq_rel) == (shut | 1U)) {
            last_out(nullptr);
        }
    }

    // As leave(), for the C library's own threads: the handle is then closed in another thread,
    // because the library must not be asked to close anything in its own.
    static void leave_from_library(const std::shared_ptr<Handle>& handle) noexcept;

    // A close that has begun. Its thread waits for the calls under way in other threads, and frees
    // the handle. If this is destroyed earlier, the last call to end frees the handle.
    class Closing {
    public:
        explicit Closing(Handle& handle) noexcept;
        ~Closing();
        Closing(const Closing&) = delete;
        Closing& operator=(const Closing&) = delete;

        // Waits for at most `time`. Returns whether there is nothing more to wait for. It does not
        // wait inside a callback, because the call waits for the callback, nor while the handle is
        // lent, nor for long at the end of the process, in all calls of it together.
        bool wait_for(std::chrono::nanoseconds time) noexcept;
        // Returns what the C library's close function returned; 0 if the handle was closed before,
        // or if the last call to end will close it.
        int result() const noexcept { return result_; }

    private:
        Handle& handle_;
        const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
        bool waits_ = false;
        int result_ = 0;
    };

    // Closes the handle and waits for the calls under way, without a limit. Returns what the C
    // library's close function returned, to every thread that waits for it.
    int close() noexcept;

    // Begins to close without waiting. Returns false if a close had begun already. Otherwise calls
    // `first()` before the handle is freed, and returns true. `first` must not throw.
    bool close_later(const std::function<void()>& first = [] {});

    // Closes a handle whose connection was shut down, without calling the library for it.
    void abandon() noexcept;

    // Between lend() and take_back() there is a use that close() must not wait for: a borrower may
    // keep it as long as it likes, even in the thread that closes, or its call was abandoned.
    void lend() noexcept;
    void take_back() noexcept;

    State state() const noexcept;
    // Returns whether the handle is not open. Takes no lock.
    bool closed() const noexcept { return (entries_.load() & shut) != 0; }
    // Returns whether the handle was made in a process that this one was forked from.
    bool forked() const noexcept { return generation_ != fork_generation(); }

    // To be called before the handle is shared.
    void set_guard(std::shared_ptr<const Guard> guard) noexcept { guard_ = std::move(guard); }
    const std::shared_ptr<const Guard>& guard() const noexcept { return guard_; }

    // What messages call it, as in "image 'vm1'".
    virtual std::string describe() const = 0;
    virtual ClosedError::Subject subject() const { return ClosedError::Subject::image; }

protected:
    Handle();

    // Frees the C handle; called once, never after a fork or abandon().
    virtual int destroy() noexcept = 0;
    // Drops the parents, after the handle is freed or abandoned.
    virtual void release() noexcept = 0;

private:
    // The bit of entries_ that refuses entries.
    static constexpr uint32_t shut = 0x80000000U;
    using Lock = std::unique_lock<std::mutex>;

    [[noreturn]] void throw_shut() const;
    [[noreturn]] void throw_forked() const;
    [[noreturn]] void throw_disconnected() const;
    void last_out(const std::shared_ptr<Handle>* from_library) noexcept;
    // Whether it is for the caller to free: nobody is inside, and nobody has begun.
    bool freeable() const noexcept { return !freeing_ && entries_.load() == shut; }
    void free(Lock& lock) noexcept;
    void free_now() noexcept;

    const unsigned generation_;
    // How many uses are under way, and whether more are refused: the way in and out takes no lock.
    std::atomic<uint32_t> entries_{0};
    std::shared_ptr<const Guard> guard_;

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    State state_ = State::open;
    bool freeing_ = false;  // a thread has begun to free the handle
    bool freed_ = false;    // it has ended
    int result_ = 0;
    int waiting_ = 0;  // closes
    int lent_ = 0;
};

// Returns what `make()` returns, the owner of a C handle. If make() throws, for lack of memory,
// `give_back()` frees the handle.
template <class Make, class GiveBack>
auto owned(const Make& make, const GiveBack& give_back) {
    try {
        return make();
    } catch (...) {
        give_back();
        throw;
    }
}

// One use of a handle, from enter() to leave(). `use->rbd_x(use.get(), ...)` calls the C function.
// The constructor throws as Handle::enter() does.
template <class State>
class Use {
public:
    explicit Use(std::shared_ptr<State> state) : state_(std::move(state)) { state_->enter(); }
    ~Use() {
        if (state_) {
            state_->leave();
        }
    }
    Use(Use&& other) noexcept = default;
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use& operator=(Use&&) = delete;

    auto get() const { return state_->raw; }
    const abi::Functions* operator->() const { return state_->functions; }
    const abi::Functions& functions() const { return *state_->functions; }
    State& state() const { return *state_; }

private:
    std::shared_ptr<State> state_;
};

}  // namespace rbdxx
