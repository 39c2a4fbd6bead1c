#include "awaited_batch.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <rbdxx/aio.hpp>
#include <rbdxx/detail/start_thread.hpp>
#include <rbdxx/io.hpp>

#include "gil.hpp"

namespace rbdxx::python {

namespace {

// The loop's thread submits a batch of up to this many operations itself, because that is no more
// work than a few single calls.
constexpr uint64_t small_count = 8;
constexpr uint64_t small_bytes = uint64_t{256} << 10;

}  // namespace

void AwaitedBatch::Stop::operator()() noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    if (batch_ != nullptr) {
        batch_->stop();
    }
}

void AwaitedBatch::Stop::forget() noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    batch_ = nullptr;
}

AwaitedBatch::AwaitedBatch(const Image& image, BatchRequest request)
    : image_(image), request_(std::move(request)) {
    batch_.emplace(image_, request_.plan, request_.depth);
    stop_->batch_ = &*batch_;
}

bool AwaitedBatch::is_small() const noexcept {
    const batch::Plan& plan = *request_.plan;
    if (plan.count() > small_count) {
        return false;
    }
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < plan.count() && bytes <= small_bytes; ++i) {
        bytes += plan.length(i);
    }
    return bytes <= small_bytes;
}

// Returns the highest end of an operation, at most the last possible byte.
uint64_t AwaitedBatch::end() const noexcept {
    const batch::Plan& plan = *request_.plan;
    uint64_t end = 0;
    for (uint64_t i = 0; i < plan.count(); ++i) {
        const uint64_t offset = plan.offset(i);
        const uint64_t most = std::numeric_limits<uint64_t>::max() - offset;
        end = std::max(end, offset + std::min(plan.length(i), most));
    }
    return end;
}

void AwaitedBatch::submit(const engine::QueuePointer& queue) {
    begin(queue, image_.state());
    try {
        if (request_.plan->writes()) {
            const auto known = aio::known_size(image_, end());
            if (!known) {
                aio::ask_size(image_, &image_size_, [this](int code) { run(code); });
                return;
            }
            image_size_ = *known;
        }
        if (is_small()) {
            run(0);
        } else {
            run_in_thread();
        }
    } catch (...) {
        withdraw();
        throw;
    }
}

// Runs in its own thread, because librbd copies the data of a write at submission. The thread ends
// once the maximum number of operations is in flight.
void AwaitedBatch::run_in_thread() {
    detail::start_thread(
        [this] {
            UnderWay counted;
            run(0);
        },
        [this] { return "submit a batch on " + image_.describe(); });
}

// `code` is the result of the call that asked for the image's size. The object may be gone when
// this returns.
void AwaitedBatch::run(int code) noexcept {
    if (code < 0) {
        complete(code);
        return;
    }
    request_.plan->set_image_size(image_size_.bytes);
    batch_->run_to(*this);
}

py::object AwaitedBatch::value() {
    if (result() < 0) {
        throw Error(static_cast<int>(-result()),
                    "error " + std::string(request_.plan->verb()) + " " + image_.describe());
    }
    // If a failure needed I/O to be examined, that was done before the batch completed.
    batch_->check();
    return request_.answer();
}

void AwaitedBatch::reset() {
    stop_->forget();
    // The last use of an image may close it.
    without_gil([this] { batch_.reset(); });
    request_ = BatchRequest();
    LoopOperation::reset();
}

}  // namespace rbdxx::python
