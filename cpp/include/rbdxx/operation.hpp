// An asynchronous operation that librbd's threads settle, and queues of settled ones.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include <rbdxx/image.hpp>

namespace rbdxx::aio {

class Operation;

// Throws MissingFunction where the library has no completions: in its threads nothing may throw.
void require(const abi::Functions& functions);

// Lets go of the completion of an I/O call that has ended, unless librbd still has to tell of it:
// then poll_events() does. Implements: rbd_aio_release
void release(const ImageState& image, abi::rbd_completion_t completion) noexcept;

// Operations that have settled and wait to be taken, and stay their makers'. Any thread may push;
// one takes. The descriptor is signalled when the queue stops being empty, so that one event loop,
// poll or blocked thread serves any number of images.
class Queue {
public:
    Queue();
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Readable while something waits. The queue's own; never to be closed by others.
    int descriptor() const noexcept { return descriptor_; }

    void push(Operation* operation) noexcept;
    // All that have settled, linked by next() in the order in which they settled; null for none.
    Operation* take() noexcept;
    // Makes the descriptor unreadable again; before take(), or a wake-up is lost.
    void acknowledge() noexcept;
    // Sleeps until something waits or wake() is called, for at most `milliseconds` (-1: for ever).
    void wait(int milliseconds) noexcept;
    void wake() noexcept;

    // From now on whatever is here or comes goes to `heir`: nobody takes from this queue any more.
    void bequeath(std::shared_ptr<Queue> heir) noexcept;

private:
    void pass_on() noexcept;

    std::atomic<Operation*> head_{nullptr};
    std::atomic<Queue*> heir_{nullptr};
    std::shared_ptr<Queue> heir_owner_;
    int descriptor_;
};

// One asynchronous call. It keeps its handle open from start to finish(), and may be used again
// after that. It must live until it has been taken from its queue.
class Operation {
public:
    Operation() = default;
    virtual ~Operation() { finish(); }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    // Whether the library is done with it and with its memory. Any thread may ask.
    bool settled() const noexcept { return settled_.load(std::memory_order_acquire); }
    // What the library answered, once settled: a negative errno, the bytes read, or 0.
    ssize_t result() const noexcept { return result_; }
    Operation* next() const noexcept { return next_; }

    // Has the handle let go of as soon as it settles, however late it is taken from its queue, so
    // that no close has to wait for an event loop. To be called before it is started.
    void leave_early() noexcept { leaves_early_ = true; }

    // Tells that it is an I/O call on the image, of which librbd may tell anew; see poll_events().
    void of_image(const ImageState& image) noexcept { image_ = &image; }

    // Lets go of the handle. For the thread that took it from its queue: the last one out closes
    // the image, which librbd's threads must never do.
    void finish() noexcept;
    // The handle it keeps open; null when finished.
    const Handle* handle() const noexcept { return handle_.get(); }

    // Starts `submit(completion)`, which gives the C function's answer. Throws Error with
    // `describe()` where that is negative; the operation then never reaches the queue.
    template <class Submit, class Describe>
    void start(std::shared_ptr<Queue> queue, std::shared_ptr<Handle> handle,
               const abi::Functions& functions, const Submit& submit, const Describe& describe) {
        prepare(std::move(queue), std::move(handle), functions);
        ssize_t answer = 0;
        try {
            answer = submit(completion_);
        } catch (...) {
            abort();
            throw;
        }
        // Past this line a started operation may be gone: its consumer is another thread.
        if (answer < 0) {
            abort();
            throw Error(static_cast<int>(-answer), describe());
        }
    }

    // The first half of start(), for a call with completion() that is made later; that call,
    // settle_with() or abort() must follow.
    void prepare(std::shared_ptr<Queue> queue, std::shared_ptr<Handle> handle,
                 const abi::Functions& functions);
    abi::rbd_completion_t completion() const noexcept { return completion_; }
    // Takes back an operation that the library has not taken; it never reaches the queue.
    void abort() noexcept;
    // Settles an operation that the library has not taken, with `result`.
    void settle_with(ssize_t result) noexcept;

private:
    friend class Queue;
    static void settle(abi::rbd_completion_t completion, void* argument) noexcept;
    // The end of either way to settle, with the completion released.
    void conclude(ssize_t result) noexcept;

    Operation* next_ = nullptr;
    std::shared_ptr<Queue> queue_;
    std::shared_ptr<Handle> handle_;
    const abi::Functions* functions_ = nullptr;
    const ImageState* image_ = nullptr;
    abi::rbd_completion_t completion_ = nullptr;
    ssize_t result_ = 0;
    std::atomic<bool> settled_{false};
    bool leaves_early_ = false;
    bool left_ = false;  // handle_ keeps the memory alone
};

using QueuePointer = std::shared_ptr<Queue>;

}  // namespace rbdxx::aio
