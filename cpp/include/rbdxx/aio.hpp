// The asynchronous engine: operations that librbd's threads settle, and queues of settled ones.
// Offsets and lengths are bytes; memory belongs to the caller until its operation has settled.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include <rbdxx/image.hpp>

namespace rbdxx::aio {

class Operation;

// Operations that have settled and wait to be taken. Any thread may push; one takes.
// The descriptor is signalled when the queue stops being empty, so that one event loop, poll or
// blocked thread serves any number of images.
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

    // The first half of start(), for a call with completion() that is made later; that call, fail()
    // or abort() must follow.
    void prepare(std::shared_ptr<Queue> queue, std::shared_ptr<Handle> handle,
                 const abi::Functions& functions);
    abi::rbd_completion_t completion() const noexcept { return completion_; }
    // Takes back an operation that the library has not taken; it never reaches the queue.
    void abort() noexcept;
    // Settles an operation that the library has not taken, with `result`.
    void fail(ssize_t result) noexcept;

private:
    friend class Queue;
    static void settle(abi::rbd_completion_t completion, void* argument) noexcept;

    Operation* next_ = nullptr;
    std::shared_ptr<Queue> queue_;
    std::shared_ptr<Handle> handle_;
    const abi::Functions* functions_ = nullptr;
    abi::rbd_completion_t completion_ = nullptr;
    ssize_t result_ = 0;
    std::atomic<bool> settled_{false};
    bool leaves_early_ = false;
    bool left_ = false;  // handle_ keeps the memory alone
};

using QueuePointer = std::shared_ptr<Queue>;

// Each starts `operation` on the image; it reaches `queue` once settled. They return at once.

// Implements: rbd_aio_read, rbd_aio_read2. Settles with the bytes read.
void read(Operation& operation, QueuePointer queue, const Image& image, char* data, uint64_t offset,
          uint64_t length, int flags = 0);
// Implements: rbd_aio_write, rbd_aio_write2. librbd cuts what goes across the end, and says
// nothing.
void write(Operation& operation, QueuePointer queue, const Image& image, const char* data,
           uint64_t offset, uint64_t length, int flags = 0);
// Implements: rbd_aio_readv. The vector itself may go when this returns.
void readv(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
           int count, uint64_t offset);
// Implements: rbd_aio_writev
void writev(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
            int count, uint64_t offset);
// Implements: rbd_aio_discard
void discard(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
             uint64_t length);
// Implements: rbd_aio_write_zeroes
void write_zeroes(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
                  uint64_t length, int zero_flags);
// Implements: rbd_aio_writesame
void write_same(Operation& operation, QueuePointer queue, const Image& image, const char* data,
                uint64_t size, uint64_t offset, uint64_t length, int flags = 0);
// `mismatch` gets the offset of the first difference where it settles with -EILSEQ.
// Implements: rbd_aio_compare_and_write
void compare_and_write(Operation& operation, QueuePointer queue, const Image& image,
                       const char* expected, const char* data, uint64_t offset, uint64_t length,
                       uint64_t* mismatch, int flags = 0);
// Implements: rbd_aio_flush
void flush(Operation& operation, QueuePointer queue, const Image& image);

// Opens; `raw` gets the handle for Image::adopt once settled with 0. Implements: rbd_aio_open,
// rbd_aio_open_read_only, rbd_aio_open_by_id, rbd_aio_open_by_id_read_only
void open(Operation& operation, QueuePointer queue, const IoCtx& ioctx, const OpenOptions& options,
          abi::rbd_image_t* raw);
// Refuses further calls at once, and closes when those under way are done.
// Throws ClosedError where it was closed already. Implements: rbd_aio_close
void close(Operation& operation, QueuePointer queue, const Image& image);

// Implements: rbd_aio_mirror_image_get_info
void mirror_image_get_info(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_info_t* info);
// Implements: rbd_aio_mirror_image_get_mode
void mirror_image_get_mode(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_mode_t* mode);
// Implements: rbd_aio_mirror_image_create_snapshot
void mirror_image_create_snapshot(Operation& operation, QueuePointer queue, const Image& image,
                                  uint32_t flags, uint64_t* snapshot_id);

}  // namespace rbdxx::aio
