#include <rbdxx/error.hpp>
#include <rbdxx/operation.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace rbdxx::aio {

void require(const abi::Functions& functions) {
    functions.rbd_aio_create_completion.require();
    functions.rbd_aio_get_return_value.require();
    functions.rbd_aio_release.require();
}

void release(const ImageState& image, abi::rbd_completion_t completion) noexcept {
    if (image.notifies.load(std::memory_order_relaxed)) {
        image.untold.fetch_add(1);
    } else {
        image.functions->rbd_aio_release(completion);
    }
}

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
    require(functions);
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
    const ssize_t result = operation->functions_->rbd_aio_get_return_value(completion);
    if (operation->image_ != nullptr) {
        aio::release(*operation->image_, completion);
    } else {
        operation->functions_->rbd_aio_release(completion);
    }
    operation->conclude(result);
}

void Operation::abort() noexcept {
    functions_->rbd_aio_release(completion_);
    completion_ = nullptr;
    queue_.reset();
    finish();
}

void Operation::settle_with(ssize_t result) noexcept {
    functions_->rbd_aio_release(completion_);
    conclude(result);
}

void Operation::conclude(ssize_t result) noexcept {
    result_ = result;
    // The operation may be gone as soon as it is in the queue, and its share of the queue with it.
    std::shared_ptr<Queue> queue = std::move(queue_);
    if (leaves_early_) {
        // The consumer drops the share itself: the last one may end the connection.
        left_ = true;
        Handle::leave_from_library(handle_);
    }
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

}  // namespace rbdxx::aio
