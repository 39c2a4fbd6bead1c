#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/operation.hpp>
#include <rbdxx/pipeline.hpp>

namespace rbdxx::pipeline {

namespace {

// Pieces of the ring begin at multiples of this.
constexpr uint64_t alignment = 64;

}  // namespace

std::optional<Ring::Piece> Ring::take(uint64_t length) {
    uint64_t size = (length + alignment - 1) / alignment * alignment;
    if (used_ == 0) {
        // With nothing given out, all of it is one stretch again.
        head_ = 0;
    }
    const bool wraps = size > capacity_ - head_;
    const uint64_t start = wraps ? 0 : head_;
    const uint64_t cost = size + (wraps ? capacity_ - head_ : 0);
    if (cost > capacity_ - used_) {
        return std::nullopt;
    }
    head_ = start + size;
    used_ += cost;
    return Piece{start, cost};
}

abi::rbd_completion_t Pipeline::prepare(Operation& operation, const char* verb) {
    operation.pipeline = this;
    operation.settled = false;
    operation.use.emplace(image_.use());
    const Use<ImageState>& use = *operation.use;
    aio::require(use.functions());
    abi::rbd_completion_t completion = nullptr;
    check(use->rbd_aio_create_completion(&operation, settle, &completion),
          [&] { return io::region(verb, image_, operation.offset, operation.length); });
    std::lock_guard<std::mutex> lock(mutex_);
    ++flying_;
    return completion;
}

void Pipeline::take_back(Operation& operation, abi::rbd_completion_t completion) noexcept {
    (*operation.use)->rbd_aio_release(completion);
    std::lock_guard<std::mutex> lock(mutex_);
    --flying_;
    operation.settled = true;
}

bool Pipeline::full() {
    std::lock_guard<std::mutex> lock(mutex_);
    return flying_ >= depth_;
}

bool Pipeline::settled(const Operation& operation) {
    std::lock_guard<std::mutex> lock(mutex_);
    return operation.settled;
}

// Runs in librbd's threads.
void Pipeline::settle(void* completion, void* argument) noexcept {
    auto& operation = *static_cast<Operation*>(argument);
    Pipeline& pipeline = *operation.pipeline;
    const Use<ImageState>& use = *operation.use;
    ssize_t result = use->rbd_aio_get_return_value(completion);
    aio::release(use.state(), completion);
    std::function<void()> afterwards;
    {
        // Held over the notification: without it the pipeline may be gone before that.
        std::lock_guard<std::mutex> lock(pipeline.mutex_);
        operation.result = result;
        operation.settled = true;
        if (--pipeline.flying_ == 0) {
            afterwards.swap(pipeline.afterwards_);
        }
        pipeline.settled_.notify_all();
    }
    if (afterwards) {
        afterwards();
    }
}

bool Pipeline::settle_within(std::chrono::milliseconds time) {
    return wait(time, [this] { return flying_ == 0; });
}

bool Pipeline::leave_to(std::function<void()> afterwards) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (flying_ == 0) {
        return false;
    }
    afterwards_ = std::move(afterwards);
    return true;
}

void Pipeline::settle_all() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    settled_.wait(lock, [this] { return flying_ == 0; });
}

}  // namespace rbdxx::pipeline
