// Asynchronous calls in flight, of librbd and of librados: the owner of their completions.
//
//   Call       one call of a C library, from its submission until the library has completed it
//   Operation  a Call that keeps a handle open, and reports to a Queue
//   Lane       submits the calls over one connection, so that no thread waits for the library
//   Work       calls that a thread waits for and may abandon; a Queue owns it then
//
// Memory that the library may still write to is never freed: an Operation lives until it is taken
// from its queue, and a Work waits in its destructor unless it was abandoned.
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

    // Called by a thread that takes items of several kinds from one queue. May destroy the item.
    virtual void deliver() noexcept {}
    // Submits an operation that Queue::hold() has kept. Any thread may call it.
    virtual void submit_held() noexcept {}
    // Returns the item that was pushed after this one, or null.
    Item* next() const noexcept { return next_; }

private:
    friend class Queue;
    Item* next_ = nullptr;
};

// The items that have completed and wait to be taken. The queue does not own them. Any thread may
// push; one thread takes. A descriptor wakes that thread, so that one event loop, poll() or blocked
// thread serves any number of images.
//
// How wake-ups are saved and none is lost: acknowledge() makes the descriptor unreadable, and the
// queue rests. The first push into an empty queue that rests signals the descriptor and ends the
// rest. Until the next acknowledge() the descriptor is readable or about to be: the consumer comes
// back by itself, and no push needs to signal it again. A push into a queue that is not empty does
// not signal, because an earlier item still waits to be taken. After acknowledge() the consumer
// must take(), because an item may have been pushed before the rest began. All of this is
// sequentially consistent: a push that sees no rest comes before the rest, and so before that
// take().
//
// How operations are submitted together: to submit one, the consumer wakes a thread of the library.
// While many are in flight, that is saved: the consumer holds what it would submit, and the next
// operation that completes submits it in its own thread, which is awake. An operation that is held
// while nothing is in flight would wait: hold() looks for that after it has kept the operation, and
// a completion looks for held ones after it has been counted, so one of the two sees the other.
class Queue {
public:
    // `owner` gets the items of this queue once it is abandoned. It must live as long as the queue.
    // Throws Error if the system has no descriptor left.
    explicit Queue(const std::shared_ptr<Queue>& owner = nullptr);
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Returns the descriptor, which is readable while items wait. The queue closes it.
    int descriptor() const noexcept { return descriptor_; }

    // Adds an item that has completed.
    void push(Item* item) noexcept;
    // Returns all items, linked by next() in the order in which they were pushed; null for none.
    Item* take() noexcept;
    // Makes the descriptor unreadable again. Call take() afterwards, or a wake-up is lost.
    void acknowledge() noexcept;
    // Sleeps until an item waits or wake() is called.
    void wait() noexcept;
    // As wait(), for at most `time`.
    void wait_for(std::chrono::milliseconds time) noexcept;
    // Ends a wait() of another thread.
    void wake() noexcept;

    // Begins to hold operations. For the consumer's thread, as the next three.
    void start_holding() noexcept { holding_ = true; }
    // Ends that. What is held waits for submit_held().
    void stop_holding() noexcept { holding_ = false; }
    // Returns whether the next operation should be held: one in flight will complete soon.
    bool holds() const noexcept { return holding_ && in_flight_.load() >= enough_in_flight; }
    // Keeps an operation that has begun. Returns whether an operation in flight will submit it; if
    // not, the caller has to call submit_held().
    bool hold(Item* item) noexcept;
    // Returns whether anything is held. Any thread may ask.
    bool has_held() const noexcept { return held_.load() != nullptr; }
    // Submits what is held. Any thread may call it.
    void submit_held() noexcept;
    // Counts an operation in flight.
    void begun() noexcept { in_flight_.fetch_add(1); }
    // Ends that count, and submits what is held.
    void ended() noexcept;

    // Gives the queue up: nobody takes from it any more. The owner gets the items that are in it
    // and those that are still to come.
    void abandon() noexcept;

private:
    static constexpr int64_t enough_in_flight = 3;

    // Adds to a list. Returns the item that was added last before, or null.
    static Item* put(std::atomic<Item*>& list, Item* item) noexcept;
    // Empties a list. Returns the items in the order in which they were added.
    static Item* take_all(std::atomic<Item*>& list) noexcept;
    void pass_on() noexcept;

    const std::weak_ptr<Queue> owner_;
    std::shared_ptr<Queue> next_owner_;
    std::atomic<Item*> head_{nullptr};
    std::atomic<Item*> held_{nullptr};
    std::atomic<int64_t> in_flight_{0};  // those submitted, and not complete
    bool holding_ = false;
    std::atomic<bool> abandoned_{false};
    std::atomic<bool> resting_{true};
    int descriptor_;
};

using QueuePointer = std::shared_ptr<Queue>;

// Submits the calls over one connection of a library that makes a thread wait if too many calls are
// in flight. While few are in flight, the caller submits its call itself. The other calls are
// submitted in order by the lane's own thread, which ends a moment after the last. Thread-safe.
class Lane : public std::enable_shared_from_this<Lane> {
public:
    // The numbers of calls and of bytes in flight from which on the lane submits in its own thread;
    // 0 means no limit.
    Lane(uint64_t most_calls, uint64_t most_bytes)
        : most_calls_(most_calls), most_bytes_(most_bytes) {}

    // Counts a call that moves `bytes` until done(). The caller submits it, and may have to wait.
    void enter(uint64_t bytes) noexcept;
    // Returns whether the caller may submit the call without waiting; it is then counted. Returns
    // false if `shared`: others, who are not counted, use the connection.
    bool try_enter(uint64_t bytes, bool shared) noexcept;
    // Makes the lane's thread call `submit`, which must not throw; the call is counted too. Returns
    // its number, for wait(): 1 for the first such call. Throws std::system_error if no thread can
    // be started.
    uint64_t later(uint64_t bytes, std::function<void()> submit);
    // Ends the count of a call that has completed, or was refused. Any thread may call it.
    void done(uint64_t bytes) noexcept;
    // Returns once the call of that number has been submitted, and all before it.
    void wait(uint64_t number) noexcept;

private:
    void run() noexcept;

    const uint64_t most_calls_;
    const uint64_t most_bytes_;
    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t calls_ = 0;
    uint64_t bytes_ = 0;
    std::deque<std::function<void()>> waiting_;
    // The numbers of calls that later() has taken, and of those that the thread has submitted.
    uint64_t taken_ = 0;
    uint64_t submitted_ = 0;
    bool running_ = false;  // there is a thread
};

// Counts a call of the thread that makes it, which waits until it is complete.
class Counted {
public:
    // A null lane counts nothing.
    Counted(std::shared_ptr<Lane> lane, uint64_t bytes) : lane_(std::move(lane)), bytes_(bytes) {
        if (lane_ != nullptr) {
            lane_->enter(bytes_);
        }
    }
    ~Counted() {
        if (lane_ != nullptr) {
            lane_->done(bytes_);
        }
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

private:
    const std::shared_ptr<Lane> lane_;
    const uint64_t bytes_;
};

// The callback that both C libraries call, in a thread of their own, when a call has completed.
using Completed = void (*)(void* completion, void* argument);

// A kind of completion: how a C library creates, reads and frees it. This is librbd's kind; other
// kinds have the same members. The context lives as long as the call is in flight.
struct Librbd {
    using Context = abi::Functions;
    // Throws MissingFunction if the library has no completions. Checked in advance, because nothing
    // may throw in the library's threads.
    static void require(const Context& functions);
    // Creates a completion that calls `completed(completion, argument)`. Returns the C result.
    static int create(const Context& functions, void* argument, Completed completed,
                      void** completion) noexcept {
        return functions.rbd_aio_create_completion(argument, completed, completion);
    }
    // Returns the result of the call: a negative errno, the number of bytes read, or 0.
    static ssize_t result(const Context& functions, void* completion) noexcept {
        return functions.rbd_aio_get_return_value(completion);
    }
    // Frees a completion. `submitted` is true if the call has completed, false if it was refused.
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
    // Calls `submit(completion)` and returns its result. If that is negative, or if it throws,
    // nothing was submitted. Otherwise the call may have completed, and this object may be gone,
    // when this returns.
    template <class Kind, class Submit>
    ssize_t submit_call(const typename Kind::Context& context, const Submit& submit) {
        const int answer = create_completion<Kind>(context);
        return answer < 0 ? answer : submit_created<Kind>(context, submit);
    }

    // The two halves of submit_call(), for a call that is made later. drop_completion() undoes the
    // first half.
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

    // Called in one of the library's threads: takes no lock that is held for long, and nothing of
    // Python's. `result` is a negative errno, the number of bytes read, or 0.
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

// A call that keeps its handle open from its submission to finish(). It must live until it has been
// taken from its queue; then it may be used again.
class Operation : public Call, public Item {
public:
    Operation() = default;
    ~Operation() override { finish(); }

    // Returns whether the operation has completed: the library no longer uses its memory. Any
    // thread may ask.
    bool is_complete() const noexcept { return complete_.load(std::memory_order_acquire); }
    // Returns the result, once complete: a negative errno, the number of bytes read, or 0.
    ssize_t result() const noexcept { return result_.load(std::memory_order_relaxed); }

    // Makes the operation release its handle as soon as it completes, so that a close need not wait
    // until it is taken from its queue. To be called before it is submitted.
    void leave_early() noexcept { leaves_early_ = true; }
    // Makes the lane submit this operation, in the calls that have one, so that the caller never
    // waits for the library. To be called before it is submitted.
    void never_wait() noexcept { may_wait_ = false; }
    // Releases the handle. To be called by the thread that took the operation from its queue: the
    // last use to end closes the image, which the library's threads must never do.
    void finish() noexcept;
    // Returns the handle that the operation keeps open; null once finished.
    const Handle* handle() const noexcept { return handle_.get(); }

    // Submits the operation: calls `submit(completion)`, which returns the C function's result. If
    // that is negative, throws Failure with the message that `describe()` returns; the operation
    // then never reaches the queue. Throws ClosedError and MissingFunction.
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

    // The first half of submit(), for a call that is made later. submit_begun() or withdraw() of
    // the same kind must follow. Throws Error, ClosedError and MissingFunction.
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
    // The second half of submit(), for a place where nothing may throw: if the library refuses the
    // call, the operation completes with its result.
    template <class Kind, class Submit>
    void submit_begun(const typename Kind::Context& context, const Submit& submit) noexcept {
        const ssize_t answer = submit_created<Kind>(context, submit);
        if (answer < 0) {
            completed(answer);
        }
    }
    // In place of submit_begun(), if the call is not made after all: the operation completes with
    // `result`.
    template <class Kind>
    void complete_begun(const typename Kind::Context& context, ssize_t result) noexcept {
        drop_completion<Kind>(context);
        completed(result);
    }
    // Undoes begin(): the operation never reaches the queue.
    template <class Kind>
    void withdraw(const typename Kind::Context& context) noexcept {
        drop_completion<Kind>(context);
        withdraw();
    }

    // As submit(), through the lane of the connection, which may be null. After never_wait(), the
    // lane may submit the call later: it completes with its result if it is refused then, and the
    // objects that `call` refers to must live until then. Returns the number of such a call, for
    // Lane::wait(), or 0.
    template <class Kind, class Failure = Error, class Submit, class Describe>
    uint64_t submit_by(const std::shared_ptr<Lane>& lane, uint64_t bytes, bool shared,
                       QueuePointer queue, std::shared_ptr<Handle> handle,
                       const typename Kind::Context& context, const Submit& call,
                       const Describe& describe) {
        if (lane == nullptr) {
            submit<Kind, Failure>(std::move(queue), std::move(handle), context, call, describe);
            return 0;
        }
        const bool now = may_wait_ || lane->try_enter(bytes, shared);
        if (may_wait_) {
            lane->enter(bytes);
        } else if (!now) {
            begin<Kind>(std::move(queue), std::move(handle), context);
        }
        lane_ = lane;
        bytes_ = bytes;
        try {
            if (now) {
                submit<Kind, Failure>(std::move(queue), std::move(handle), context, call, describe);
                return 0;
            }
            return lane->later(bytes,
                               [this, &context, call] { submit_begun<Kind>(context, call); });
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

    // As begin(), for an operation that does not call the library. complete() or withdraw() must
    // follow. Throws ClosedError.
    void begin(QueuePointer queue, std::shared_ptr<Handle> handle);
    // Completes such an operation.
    void complete(ssize_t result) noexcept { completed(result); }
    // Undoes begin() of such an operation.
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

// Calls in flight that one thread waits for. A derived class waits in its own destructor.
class Work : public Item {
public:
    // Returns once nothing is in flight.
    void wait() noexcept;
    // Waits for at most `time`. Returns whether nothing is in flight.
    bool wait_for(std::chrono::nanoseconds time) noexcept;
    // Stops waiting for good. Once nothing is in flight, the owner's queue gets this object, and
    // the thread that takes it from there destroys it. Returns false, and the caller keeps the
    // object, if nothing is in flight now or if there is no owner.
    bool abandon() noexcept;

protected:
    using Lock = std::unique_lock<std::mutex>;

    // The owner is known before anything is in flight, so that abandon() cannot fail. It must live
    // as long as this.
    explicit Work(const QueuePointer& owner) : owner_(owner) {}

    void begin(uint64_t count = 1);
    // Begins one call, made by `run()` in a separate thread. Throws std::system_error if no
    // thread can be started.
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
    // Ends one call that has completed. Calls `note()` under the lock. This object may be gone
    // afterwards.
    template <class Note>
    void end(const Note& note) noexcept {
        QueuePointer owner;
        {
            // Held during the notification: otherwise this object may be gone before it.
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
    // Waits until `ready()`, called under the lock, returns true, for at most `time`. Returns what
    // it returned last.
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
