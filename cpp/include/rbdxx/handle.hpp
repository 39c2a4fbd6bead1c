// The one owner of a C handle: counts the calls under way, closes once, survives fork.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx {

// How often this process has been forked off since its ancestor loaded the library. A handle made
// under another count belongs to another process: its library threads do not exist here.
unsigned fork_generation() noexcept;

// Marks that this thread runs a callback of a call under way. A close() from inside one must not
// wait for that call to end, since the call waits for the callback.
class CallbackScope {
public:
    CallbackScope() noexcept;
    ~CallbackScope();
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;
    static bool active() noexcept;
};

// Tells that the process is about to end: from now on, close() gives up on calls that do not end
// within a moment, and on a cluster that has not answered after ten seconds in all, and leaks them.
void end_of_process() noexcept;

// Whether this process has C handles that were not freed, those it has given up among them: the C
// library's threads still work on what is theirs.
bool handles_remain() noexcept;

// A word in memory that changes when the connection under a handle goes, for one of another
// library, which tells nobody. Empty where there is none to be watched.
struct Witness {
    const void* const* place = nullptr;
    const void* connected = nullptr;
    bool gone() const noexcept {
        return place != nullptr && __atomic_load_n(place, __ATOMIC_RELAXED) != connected;
    }
};

// How close() waits for the calls under way.
struct Waiting {
    // What it does in place of sleeping, again and again: for a thread that those calls wait for.
    std::function<void()> pump;
    // Asked each 100 milliseconds; true: to wait no longer. The last of the calls then closes.
    std::function<bool()> interrupted;
};

// Base of the shared state behind Cluster, IoCtx and Image. Thread-safe.
//
// enter() and leave() bracket each use of the C handle. close() refuses further entries, waits for
// the uses under way and then frees the handle on its own thread: leave() is cheap and may be
// called from the C library's threads. Freed exactly once; never in a process that merely inherited
// it.
class Handle : public std::enable_shared_from_this<Handle> {
public:
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    virtual ~Handle();

    void enter() {
        if (generation_ != fork_generation()) {
            throw_forked();
        }
        if ((users_.fetch_add(1, std::memory_order_acquire) & closed_bit) != 0) {
            leave();
            throw_closed();
        }
        // Last: the word need not be there any more once the handle is closed.
        if (witness_.gone()) {
            leave();
            throw_disconnected();
        }
    }

    void leave() noexcept {
        if (users_.fetch_sub(1, std::memory_order_acq_rel) == (closed_bit | 1U)) {
            last_out();
        }
    }

    // As leave(), for one of the C library's own threads, in which it must not be asked to close,
    // not even where close_later() left that to whoever is last out.
    static void leave_from_library(const std::shared_ptr<Handle>& handle) noexcept;

    // Closes: waits for the calls under way in other threads and for the C library's own close,
    // except inside a callback, where the call that is under way closes when it ends, and while it
    // is lent or abandoned, where the last one out closes. Gives the close function's return code;
    // 0 when it was closed already.
    int close(const Waiting& waiting = {}) noexcept;

    // As close(), without waiting: the handle is freed by whoever is last out, perhaps here and
    // now. Throws ClosedError where it was closed already.
    void close_later();

    // While there is an entry that close() must not wait for: another module keeps the handle
    // between enter() and leave(), for as long as it likes, perhaps in the very thread that closes;
    // or a call that may never end was left behind.
    void lend() noexcept { lent_.fetch_add(1); }
    void take_back() noexcept { lent_.fetch_sub(1); }

    bool closed() const noexcept { return (users_.load() & closed_bit) != 0; }
    bool forked() const noexcept { return generation_ != fork_generation(); }

    // What tells whether the connection is still there; set before the handle is shared. Its word
    // must stay readable until the handle is closed.
    void set_witness(const Witness& witness) noexcept { witness_ = witness; }
    const Witness& witness() const noexcept { return witness_; }

    // Lets go of the C handle without ever calling the library for it: the connection under it is
    // gone.
    void abandon() noexcept { abandoned_.store(true); }

    // What messages call it, as in "image 'vm1'".
    virtual std::string describe() const = 0;
    virtual ClosedError::Subject subject() const { return ClosedError::Subject::image; }

protected:
    Handle();

    // Frees the C handle; called once, never after a fork or abandon().
    virtual int destroy() noexcept = 0;
    // Lets go of the parents, after the handle is freed or given up.
    virtual void release() noexcept = 0;

private:
    static constexpr uint32_t closed_bit = 0x80000000U;

    [[noreturn]] void throw_closed() const;
    [[noreturn]] void throw_forked() const;
    [[noreturn]] void throw_disconnected() const;
    void last_out() noexcept;
    // Until it comes true, or for as long as it may; false where the process ends before that.
    bool wait(const Waiting& waiting, const std::function<bool()>& until) noexcept;
    void finish() noexcept;
    void free_handle() noexcept;

    const unsigned generation_;
    std::atomic<uint32_t> users_{0};
    Witness witness_;
    std::atomic<uint32_t> lent_{0};
    std::atomic<bool> finished_{false};
    std::atomic<bool> abandoned_{false};
    // Closed from inside a callback, or while lent: whoever leaves last frees the handle.
    std::atomic<bool> deferred_{false};
    bool done_ = false;
    int result_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
};

// What `make()` gives, the owner of a C handle; where there is no memory for it, `give_back()`
// frees the handle.
template <class Make, class GiveBack>
auto owned(const Make& make, const GiveBack& give_back) {
    try {
        return make();
    } catch (...) {
        give_back();
        throw;
    }
}

// One use of a handle: entered while it lives. `use->rbd_x(use.get(), ...)` calls the C function.
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
