#include <rbdxx/aio.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
namespace rbdxx::aio {

Queue::Queue() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (descriptor_ < 0) {
        throw Error(errno, "error making an eventfd for completions");
    }
}

Queue::~Queue() {
    ::close(descriptor_);
}

void Queue::push(Operation* operation) noexcept {
    Operation* head = head_.load(std::memory_order_relaxed);
    do {
        operation->next_ = head;
    } while (!head_.compare_exchange_weak(head, operation, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    if (heir_.load(std::memory_order_seq_cst) != nullptr) {
        pass_on();
    } else if (head == nullptr) {
        wake();
    }
}

Operation* Queue::take() noexcept {
    Operation* newest = head_.exchange(nullptr, std::memory_order_seq_cst);
    Operation* oldest = nullptr;
    while (newest != nullptr) {
        Operation* following = newest->next_;
        newest->next_ = oldest;
        oldest = newest;
        newest = following;
    }
    return oldest;
}

void Queue::acknowledge() noexcept {
    uint64_t count = 0;
    // Fails only where there is nothing to acknowledge.
    [[maybe_unused]] ssize_t got = ::read(descriptor_, &count, sizeof count);
}

void Queue::wait(int milliseconds) noexcept {
    pollfd waited{descriptor_, POLLIN, 0};
    if (::poll(&waited, 1, milliseconds) > 0) {
        acknowledge();
    }
}

void Queue::wake() noexcept {
    uint64_t one = 1;
    // Fails only where the count is at its maximum, and so readable.
    [[maybe_unused]] ssize_t put = ::write(descriptor_, &one, sizeof one);
}

void Queue::bequeath(std::shared_ptr<Queue> heir) noexcept {
    heir_owner_ = std::move(heir);
    heir_.store(heir_owner_.get(), std::memory_order_seq_cst);
    pass_on();
}

void Queue::pass_on() noexcept {
    Operation* operation = take();
    while (operation != nullptr) {
        Operation* following = operation->next_;
        heir_.load()->push(operation);
        operation = following;
    }
}

void Operation::prepare(std::shared_ptr<Queue> queue, std::shared_ptr<Handle> handle,
                        const abi::Functions& functions) {
    handle->enter();
    handle_ = std::move(handle);
    queue_ = std::move(queue);
    functions_ = &functions;
    result_ = 0;
    left_ = false;
    settled_.store(false, std::memory_order_relaxed);
    int answer = functions.rbd_aio_create_completion(this, settle, &completion_);
    if (answer < 0) {
        completion_ = nullptr;
        finish();
        throw Error(-answer, "error creating a completion");
    }
}

// Runs in one of librbd's threads: no lock, no allocation, and nothing of Python's.
void Operation::settle(abi::rbd_completion_t completion, void* argument) noexcept {
    auto* operation = static_cast<Operation*>(argument);
    operation->result_ = operation->functions_->rbd_aio_get_return_value(completion);
    operation->functions_->rbd_aio_release(completion);
    // The operation may be gone as soon as it is in the queue, and its share of the queue with it.
    std::shared_ptr<Queue> queue = std::move(operation->queue_);
    if (operation->leaves_early_) {
        // The consumer drops the share itself: the last one may end the connection.
        operation->left_ = true;
        Handle::leave_from_library(operation->handle_);
    }
    operation->settled_.store(true, std::memory_order_release);
    queue->push(operation);
}

void Operation::abort() noexcept {
    functions_->rbd_aio_release(completion_);
    completion_ = nullptr;
    queue_.reset();
    finish();
}

void Operation::fail(ssize_t result) noexcept {
    functions_->rbd_aio_release(completion_);
    result_ = result;
    std::shared_ptr<Queue> queue = std::move(queue_);
    settled_.store(true, std::memory_order_release);
    queue->push(this);
}

void Operation::finish() noexcept {
    if (handle_) {
        std::shared_ptr<Handle> handle = std::move(handle_);
        if (!left_) {
            handle->leave();
        }
    }
}

namespace {

// Starts `submit(functions, raw image, completion)` on an image.
template <class Submit, class Describe>
void start(Operation& operation, QueuePointer queue, const Image& image, const Submit& submit,
           const Describe& describe) {
    const std::shared_ptr<ImageState>& state = image.state();
    const abi::Functions& functions = *state->functions;
    abi::rbd_image_t raw = state->raw;
    operation.start(
        std::move(queue), state, functions,
        [&](abi::rbd_completion_t completion) -> ssize_t {
            return submit(functions, raw, completion);
        },
        describe);
}

}  // namespace

void read(Operation& operation, QueuePointer queue, const Image& image, char* data, uint64_t offset,
          uint64_t length, int flags) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return flags == 0 ? call.rbd_aio_read(raw, offset, length, data, completion)
                              : call.rbd_aio_read2(raw, offset, length, data, completion, flags);
        },
        [&] { return io::region("reading", image, offset, length); });
}

void write(Operation& operation, QueuePointer queue, const Image& image, const char* data,
           uint64_t offset, uint64_t length, int flags) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return flags == 0 ? call.rbd_aio_write(raw, offset, length, data, completion)
                              : call.rbd_aio_write2(raw, offset, length, data, completion, flags);
        },
        [&] { return io::region("writing", image, offset, length); });
}

namespace {

uint64_t total(const iovec* vectors, int count) {
    uint64_t sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += vectors[i].iov_len;
    }
    return sum;
}

}  // namespace

void readv(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
           int count, uint64_t offset) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_readv(raw, vectors, count, offset, completion);
        },
        [&] { return io::region("reading", image, offset, total(vectors, count)); });
}

void writev(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
            int count, uint64_t offset) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_writev(raw, vectors, count, offset, completion);
        },
        [&] { return io::region("writing", image, offset, total(vectors, count)); });
}

void discard(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
             uint64_t length) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_discard(raw, offset, length, completion);
        },
        [&] { return io::region("discarding", image, offset, length); });
}

void write_zeroes(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
                  uint64_t length, int zero_flags) {
    const int flags = io::known_zero_flags(zero_flags);
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_write_zeroes(raw, offset, length, completion, flags, 0);
        },
        [&] { return io::region("zeroing", image, offset, length); });
}

void write_same(Operation& operation, QueuePointer queue, const Image& image, const char* data,
                uint64_t size, uint64_t offset, uint64_t length, int flags) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_writesame(raw, offset, length, data, size, completion, flags);
        },
        [&] { return io::region("writing", image, offset, length); });
}

void compare_and_write(Operation& operation, QueuePointer queue, const Image& image,
                       const char* expected, const char* data, uint64_t offset, uint64_t length,
                       uint64_t* mismatch, int flags) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_compare_and_write(raw, offset, length, expected, data, completion,
                                                  mismatch, flags);
        },
        [&] { return io::region("comparing and writing", image, offset, length); });
}

void flush(Operation& operation, QueuePointer queue, const Image& image) {
    start(
        operation, std::move(queue), image,
        [](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_flush(raw, completion);
        },
        [&] { return "error flushing " + image.describe(); });
}

void open(Operation& operation, QueuePointer queue, const IoCtx& ioctx, const OpenOptions& options,
          abi::rbd_image_t* raw) {
    const abi::Functions& call = *ioctx.state()->functions;
    abi::rados_ioctx_t context = ioctx.state()->raw;
    const char* name = options.name.c_str();
    const char* snapshot = options.snapshot ? options.snapshot->c_str() : nullptr;
    operation.start(
        std::move(queue), ioctx.state(), call,
        [&](abi::rbd_completion_t completion) -> ssize_t {
            if (options.by_id) {
                return options.read_only
                           ? call.rbd_aio_open_by_id_read_only(context, name, raw, snapshot,
                                                               completion)
                           : call.rbd_aio_open_by_id(context, name, raw, snapshot, completion);
            }
            return options.read_only
                       ? call.rbd_aio_open_read_only(context, name, raw, snapshot, completion)
                       : call.rbd_aio_open(context, name, raw, snapshot, completion);
        },
        [&] { return "error opening " + options.describe(); });
}

namespace {

// Keeps the connection while the library closes an image that has no other owner left.
struct Closing final : Handle {
    explicit Closing(std::shared_ptr<ImageState> image)
        : state(std::move(image)), cluster(state->cluster) {}
    ~Closing() override { Handle::close(); }
    std::string describe() const override { return state->describe(); }
    int destroy() noexcept override { return 0; }
    void release() noexcept override { cluster.reset(); }

    std::shared_ptr<ImageState> state;
    std::shared_ptr<ClusterState> cluster;
};

}  // namespace

void close(Operation& operation, QueuePointer queue, const Image& image) {
    const std::shared_ptr<ImageState>& state = image.state();
    const abi::Functions& functions = *state->functions;
    std::unique_lock<std::mutex> lock(state->closer_mutex);
    if (state->closer) {
        throw ClosedError(image.describe() + " is closed");
    }
    operation.prepare(std::move(queue), std::make_shared<Closing>(state), functions);
    const bool borrowed = state->lender != nullptr;
    state->closer = [&operation, &functions, borrowed](abi::rbd_image_t raw) noexcept {
        if (borrowed) {
            operation.fail(0);  // another module's to close
            return 0;
        }
        int answer = functions.rbd_aio_close(raw, operation.completion());
        if (answer < 0) {
            operation.fail(answer);
        }
        return 0;
    };
    lock.unlock();
    try {
        state->close_later();
    } catch (...) {
        operation.abort();
        throw;
    }
}

void mirror_image_get_info(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_info_t* info) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_get_info(raw, info, sizeof *info, completion);
        },
        [&] { return "error getting the mirror info of " + image.describe(); });
}

void mirror_image_get_mode(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_mode_t* mode) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_get_mode(raw, mode, completion);
        },
        [&] { return "error getting the mirror mode of " + image.describe(); });
}

void mirror_image_create_snapshot(Operation& operation, QueuePointer queue, const Image& image,
                                  uint32_t flags, uint64_t* snapshot_id) {
    start(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_create_snapshot(raw, flags, snapshot_id, completion);
        },
        [&] { return "error creating a mirror snapshot of " + image.describe(); });
}

}  // namespace rbdxx::aio
