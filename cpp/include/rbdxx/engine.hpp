// Asynchronous calls in flight: the one owner of their completions, whichever library makes them.
//
//   Call       one call of a C library, from its submission until the library has completed it
//   Operation  a Call that keeps a handle open, and reports to a Queue
//   Lane       submits the calls over one connection, so that nobody waits for the library
//   Work       what a thread waits for, and may abandon; then a Queue owns it
//
// Memory that the library may still write to is never freed: an Operation lives until it is taken
// from its queue, and a Work waits in its destructor, unless it was abandoned.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <rbdxx/error.hpp>
#include <rbdxx/handle.hpp>

namespace rbdxx::engine {

// An entry of a queue.
class Item {
public:
    Item() = default;
    virtual ~Item() = default;
    Item(const Item&) = delete;
    Item& operator=(const Item&) = delete;

    // What the thread that takes it from a queue of many kinds does with it. May destroy it.
    virtual void deliver() noexcept {}
    Item* next() const noexcept { return next_; }

private:
    friend class Queue;
    Item* next_ = nullptr;
};

// What has completed and waits to be taken. It stays its maker's. Any thread may push; one takes.
// The descriptor tells that thread, so that one event loop, poll or blocked thread serves any
// number of images.
//
// How a wake-up is saved and none is lost: acknowledge() makes the descriptor unreadable, and the
// queue rests. The first push into an empty queue that rests signals the descriptor, which ends the
// rest. Until the next acknowledge() the descriptor is readable, or about to be, so the consumer
// comes back by itself and no push signals it again. A push into a queue that is not empty signals
// nothing: whatever was there first still waits to be taken. After acknowledge() the consumer must
// take(), since something may have been pushed before the rest began. All of this is sequentially
// consistent: a push that sees no rest comes before the rest, and so before that take().
class Queue {
public:
    // `owner` gets what is in the queue once it is abandoned. It must live as long as the queue.
    explicit Queue(const std::shared_ptr<Queue>& owner = nullptr);
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Readable while something waits. The queue's own; never to be closed by others.
    int descriptor() const noexcept { return descriptor_; }

    void push(Item* item) noexcept;
    // All that have completed, linked by next() in that order; null for none.
    Item* take() noexcept;
    // Makes the descriptor unreadable again; to be followed by take(), or a wake-up is lost.
    void acknowledge() noexcept;
    // Sleeps until something waits or wake() is called.
    void wait() noexcept;
    void wait_for(std::chrono::milliseconds time) noexcept;
    void wake() noexcept;

    // Nobody takes from this queue any more: what is here or comes goes to the owner.
    void abandon() noexcept;

private:
    void pass_on() noexcept;

    const std::weak_ptr<Queue> owner_;
    std::shared_ptr<Queue> next_owner_;
    std::atomic<Item*> head_{nullptr};
    std::atomic<bool> abandoned_{false};
    std::atomic<bool> resting_{true};
    int descriptor_;
};

using QueuePointer = std::shared_ptr<Queue>;

// The submissions over one connection of a library that makes a thread wait if too much is in
// flight. What is submitted while little is in flight goes at once, in the caller's thread; the
// rest goes in order, in a thread of the lane's, which ends a moment after the last. Thread-safe.
class Lane : public std::enable_shared_from_this<Lane> {
public:
    // How much is in flight over the lane until it submits in its own thread; 0: no limit.
    Lane(uint64_t most_calls, uint64_t most_bytes)
        : most_calls_(most_calls), most_bytes_(most_bytes) {}

    // Whether the caller may submit a call that moves `bytes`: it is counted until done(). Not
    // where `shared`: others, who are not counted, use the connection.
    bool enter(uint64_t bytes, bool shared) noexcept;
    // Has the lane's thread run `submit`, which must not throw; counted likewise. Throws
    // std::system_error where there is no thread for it.
    void later(uint64_t bytes, std::function<void()> submit);
    // A call that was counted has completed, or was refused. Any thread.
    void done(uint64_t bytes) noexcept;

private:
    void run() noexcept;

    const uint64_t most_calls_;
    const uint64_t most_bytes_;
    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t calls_ = 0;
    uint64_t bytes_ = 0;
    std::deque<std::function<void()>> waiting_;
    bool submitting_ = false;  // the thread has taken one that it is not through with
    bool running_ = false;     // there is a thread
};

// What both C libraries call in a thread of their own when a call has completed.
using Completed = void (*)(void* completion, void* argument);

// A kind of completion: how a C library makes, asks and frees it. This one is librbd's; another is
// a struct with the same members. The context is alive while the call is in flight.
struct Librbd {
    using Context = abi::Functions;
    // Throws MissingFunction where the library has no completions: in its threads nothing may
    // throw.
    static void require(const Context& functions);
    static int create(const Context& functions, void* argument, Completed completed,
                      void** completion) noexcept {
        return functions.rbd_aio_create_completion(argument, completed, completion);
    }
    static ssize_t result(const Context& functions, void* completion) noexcept {
        return functions.rbd_aio_get_return_value(completion);
    }
    // `submitted`: the call has completed; else it was refused.
    static void release(const Context& functions, void* completion, bool /*submitted*/) noexcept {
        functions.rbd_aio_release(completion);
    }
};

// One asynchronous call. It must live until completed() is called.
class Call {
public:
    Call() = default;
    virtual ~Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

protected:
    // Makes the call `submit(completion)`; returns its answer. Where that is negative, or throws,
    // nothing was submitted. Else the call may have completed, and be gone, when this returns.
    template <class Kind, class Submit>
    ssize_t submit_call(const typename Kind::Context& context, const Submit& submit) {
        const int answer = create_completion<Kind>(context);
        return answer < 0 ? answer : submit_created<Kind>(context, submit);
    }

    // Both halves of it, for a call that is made later; drop_completion() ends the first one, too.
    template <class Kind>
    int create_completion(const typename Kind::Context& context) {
        context_ = &context;
        return Kind::create(context, this, complete<Kind>, &completion_);
    }
    template <class Kind, class Submit>
    ssize_t submit_created(const typename Kind::Context& context, const Submit& submit) {
        void* const completion = completion_;
        ssize_t answer = 0;
        try {
            answer = submit(completion);
        } catch (...) {
            Kind::release(context, completion, false);
            throw;
        }
        if (answer < 0) {
            Kind::release(context, completion, false);
        }
        return answer;
    }
    template <class Kind>
    void drop_completion(const typename Kind::Context& context) noexcept {
        Kind::release(context, completion_, false);
    }

    // In one of the library's threads: no lock that is held for long, and nothing of Python's.
    // `result` is a negative errno, the bytes read, or 0.
    virtual void completed(ssize_t result) noexcept = 0;

private:
    template <class Kind>
    static void complete(void* completion, void* argument) noexcept {
        auto* call = static_cast<Call*>(argument);
        const auto& context = *static_cast<const typename Kind::Context*>(call->context_);
        const ssize_t result = Kind::result(context, completion);
        Kind::release(context, completion, true);
        call->completed(result);
    }

    const void* context_ = nullptr;
    void* completion_ = nullptr;
};

// A call that keeps its handle open from its submission to finish(). It may be used again after
// that. It must live until it has been taken from its queue.
class Operation : public Call, public Item {
public:
    Operation() = default;
    ~Operation() override { finish(); }

    // Whether the library is done with it and with its memory. Any thread may ask.
    bool is_complete() const noexcept { return complete_.load(std::memory_order_acquire); }
    // What the library answered, once complete: a negative errno, the bytes read, or 0.
    ssize_t result() const noexcept { return result_.load(std::memory_order_relaxed); }

    // Closes need not wait for this operation to be taken from its queue: it leaves its handle as
    // soon as it completes. To be called before it is submitted.
    void leave_early() noexcept { leaves_early_ = true; }
    // Nobody is to wait where it is submitted, not even for the library to take it: the library's
    // functions that know this submit it by a Lane. To be called before it is submitted.
    void never_wait() noexcept { may_wait_ = false; }
    bool may_wait() const noexcept { return may_wait_; }
    // Leaves the handle. For the thread that took it from its queue: the last one out closes the
    // image, which the library's threads must never do.
    void finish() noexcept;
    // The handle it keeps open; null when finished.
    const Handle* handle() const noexcept { return handle_.get(); }

    // Makes the call `submit(completion)`, which returns the C function's answer. Throws Failure
    // with `describe()` where that is negative; the operation then never reaches the queue.
    template <class Kind, class Failure = Error, class Submit, class Describe>
    void submit(QueuePointer queue, std::shared_ptr<Handle> handle,
                const typename Kind::Context& context, const Submit& submit,
                const Describe& describe) {
        Kind::require(context);
        begin(std::move(queue), std::move(handle));
        ssize_t answer = 0;
        try {
            answer = submit_call<Kind>(context, submit);
        } catch (...) {
            withdraw();
            throw;
        }
        // Past this line a submitted operation may be gone: its consumer is another thread.
        if (answer < 0) {
            withdraw();
            throw Failure(static_cast<int>(-answer), describe());
        }
    }

    // The first half of submit(), for a call that is made later: submit_begun() or withdraw() of
    // the same kind must follow. Throws Error.
    template <class Kind>
    void begin(QueuePointer queue, std::shared_ptr<Handle> handle,
               const typename Kind::Context& context) {
        Kind::require(context);
        begin(std::move(queue), std::move(handle));
        const int answer = create_completion<Kind>(context);
        if (answer < 0) {
            const std::string on = handle_->describe();
            withdraw();
            throw Error(-answer, "error creating a completion for " + on);
        }
    }
    // The second half, from where nothing can be thrown: a refused call completes with its answer.
    template <class Kind, class Submit>
    void submit_begun(const typename Kind::Context& context, const Submit& submit) noexcept {
        const ssize_t answer = submit_created<Kind>(context, submit);
        if (answer < 0) {
            completed(answer);
        }
    }
    // Takes back an operation that was begun; it never reaches the queue.
    template <class Kind>
    void withdraw(const typename Kind::Context& context) noexcept {
        drop_completion<Kind>(context);
        withdraw();
    }

    // As submit(), without ever waiting for the library, by a lane of the connection's. A call that
    // is refused later completes with its answer. What `call` refers to must live until then.
    template <class Kind, class Failure = Error, class Submit, class Describe>
    void submit_by(const std::shared_ptr<Lane>& lane, uint64_t bytes, bool shared,
                   QueuePointer queue, std::shared_ptr<Handle> handle,
                   const typename Kind::Context& context, const Submit& call,
                   const Describe& describe) {
        const bool now = lane->enter(bytes, shared);
        if (!now) {
            begin<Kind>(std::move(queue), std::move(handle), context);
        }
        lane_ = lane;
        bytes_ = bytes;
        try {
            if (now) {
                submit<Kind, Failure>(std::move(queue), std::move(handle), context, call, describe);
            } else {
                lane->later(bytes, [this, &context, call] { submit_begun<Kind>(context, call); });
            }
        } catch (...) {
            lane_.reset();
            if (now) {
                lane->done(bytes);
            } else {
                withdraw<Kind>(context);
            }
            throw;
        }
    }

    // The same for something that is no call of the library: complete() or withdraw() must follow.
    void begin(QueuePointer queue, std::shared_ptr<Handle> handle);
    void complete(ssize_t result) noexcept { completed(result); }
    void withdraw() noexcept;

private:
    void completed(ssize_t result) noexcept override;

    QueuePointer queue_;
    std::shared_ptr<Handle> handle_;
    std::atomic<ssize_t> result_{0};
    std::atomic<bool> complete_{false};
    std::shared_ptr<Lane> lane_;  // that it was submitted by
    uint64_t bytes_ = 0;
    bool may_wait_ = true;
    bool leaves_early_ = false;
    bool left_ = false;  // handle_ keeps the memory alone
};

// Things in flight for which one thread waits. Whoever derives from it waits in its own destructor.
class Work : public Item {
public:
    // Returns when nothing is in flight.
    void wait() noexcept;
    // Whether nothing is in flight; waits for that, but no longer than `time`.
    bool wait_for(std::chrono::nanoseconds time) noexcept;
    // Stops waiting for good: once nothing is in flight any more, the owner's queue gets this, and
    // whoever takes it from there destroys it. False, and it stays the caller's, where nothing is
    // in flight now, or where there is no owner.
    bool abandon() noexcept;

protected:
    using Lock = std::unique_lock<std::mutex>;

    // The owner is there before anything is in flight, so that nothing can fail in between. It must
    // live as long as this.
    explicit Work(const QueuePointer& owner) : owner_(owner) {}

    void begin(uint64_t count = 1);
    // Begins one thing, which `run()` in a thread of its own ends. Throws what starting one does.
    template <class Run>
    void begin_in_thread(Run run) {
        begin();
        try {
            std::thread(std::move(run)).detach();
        } catch (...) {
            end([] {});
            throw;
        }
    }
    // One thing has completed. Calls `note()` under the lock. This may be gone afterwards.
    template <class Note>
    void end(const Note& note) noexcept {
        QueuePointer owner;
        {
            // Held over the notification: without it, this may be gone before that.
            Lock lock(mutex_);
            note();
            if (--in_flight_ == 0) {
                owner = abandoned_to_;
            }
            changed_.notify_all();
        }
        if (owner != nullptr) {
            owner->push(this);
        }
    }
    // Waits until `ready()`, which is asked under the lock, for at most that long; returns what it
    // answers.
    template <class Ready>
    bool wait_until(std::chrono::nanoseconds time, const Ready& ready) {
        Lock lock(mutex_);
        if (time == std::chrono::nanoseconds::max()) {
            changed_.wait(lock, ready);
            return true;
        }
        return changed_.wait_for(lock, time, ready);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t in_flight_ = 0;
    QueuePointer abandoned_to_;  // null until then

private:
    const std::weak_ptr<Queue> owner_;
};

}  // namespace rbdxx::engine
