#include <rbdxx/batch.hpp>
#include <rbdxx/detail/image_io.hpp>
#include <rbdxx/detail/start_thread.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>

#include <algorithm>
#include <cerrno>
#include <string>

namespace rbdxx::batch {

namespace {

// The most bytes that one call of librbd moves for several blocks. librbd copies the data of a
// write, and the C library takes more memory than this from the system for each copy.
constexpr uint64_t most_together = uint64_t{64} << 10;

}  // namespace

// Holds the operations that are in flight as one.
class alignas(64) Batch::Slot final : public engine::Call {
public:
    // Who continues after an operation: the thread that submits it, if it completed before the
    // submission returned; otherwise the thread in which it completes.
    enum class Phase { submitting, in_flight, complete };

    // Returns whether the caller continues with the slot.
    bool submit(Run run) noexcept {
        run_ = run;
        phase_.store(Phase::submitting, std::memory_order_relaxed);
        const Use<ImageState>& use = *batch->use_;
        Plan& plan = *batch->plan_;
        const auto call = [&](abi::rbd_completion_t completion) {
            return plan.submit(use.functions(), use.get(), run, completion);
        };
        const ssize_t answer = plan.writes() ? submit_call<detail::ImageWrite>(use.state(), call)
                                             : submit_call<detail::ImageIo>(use.state(), call);
        if (answer < 0) {
            failed(static_cast<int>(answer));
            return true;
        }
        auto phase = Phase::submitting;
        return !phase_.compare_exchange_strong(phase, Phase::in_flight, std::memory_order_acq_rel);
    }

    // Returns the next of the operations that have failed together, or none.
    Run next_alone() noexcept {
        if (alone_.count == 0) {
            return {};
        }
        --alone_.count;
        return {alone_.first++, 1};
    }

    Batch* batch = nullptr;

private:
    void completed(ssize_t result) noexcept override {
        Batch& all = *batch;
        const int failure = all.plan_->complete(run_, result);
        if (failure < 0) {
            failed(failure);
        }
        if (phase_.exchange(Phase::complete, std::memory_order_acq_rel) == Phase::in_flight) {
            while (all.submit_next(*this)) {
            }
        }
    }

    void failed(int code) noexcept {
        // After a time limit, each of them would wait as long again.
        if (run_.count > 1 && code != -ETIMEDOUT) {
            alone_ = run_;
        } else {
            batch->fail(run_.first, code);
        }
    }

    Run run_;
    Run alone_;
    std::atomic<Phase> phase_{Phase::complete};
};

Batch::Batch(const Image& image, std::shared_ptr<Plan> plan, uint64_t depth,
             const engine::QueuePointer& owner)
    : Work(owner),
      image_(image),
      use_(image.use()),
      plan_(std::move(plan)),
      slots_(std::min(depth, plan_->count())) {
    engine::Librbd::require(use_->functions());
    plan_->require(use_->functions());
    mine_.reserve(slots_.size());
    prepare();
}

void Batch::prepare() {
    released_locks_ = lock::released(image_);
    failed_index_ = none;
    failed_code_ = 0;
    next_.store(0);
    for (Slot& slot : slots_) {
        slot.batch = this;
        mine_.push_back(&slot);
    }
    begin(slots_.size());
}

bool Batch::recover() {
    if (!plan_->writes() || !lock::may_be_left_behind(failed_code_) ||
        !lock::release_left_behind(image_, released_locks_, failed_code_)) {
        return false;
    }
    prepare();
    return true;
}

Batch::~Batch() {
    close();
}

bool Batch::run_for(std::chrono::nanoseconds time) noexcept {
    const Time now = std::chrono::steady_clock::now();
    const Time end = time < Time::max() - now ? now + time : Time::max();
    return submit_until(end) &&
           wait_for(end == Time::max() ? std::chrono::nanoseconds::max()
                                       : end - std::chrono::steady_clock::now());
}

void Batch::run_to(engine::Operation& report) noexcept {
    // Counts this thread, to which all slots belong at first.
    begin();
    report_ = &report;
    submit_until(Time::max());
    end_one();
}

void Batch::end_one() noexcept {
    engine::Operation* report = nullptr;
    end([&] { report = in_flight_ == 1 ? report_ : nullptr; });
    if (report == nullptr) {
        return;
    }
    // This asks the cluster, and librbd's threads must not wait for that. Without a thread, check()
    // asks.
    if (failed_index_ != none && detail::try_start_thread([this] { look_at_failure(); })) {
        return;
    }
    // The last use of the image ends here. Only the report still keeps the image open.
    use_.reset();
    report->complete(0);
}

void Batch::look_at_failure() noexcept {
    try {
        if (!cancelled_.load(std::memory_order_relaxed) && recover()) {
            run_to(*report_);
            return;
        }
        check();
    } catch (...) {
        failure_ = std::current_exception();
    }
    use_.reset();
    report_->complete(0);
}

void Batch::cancel() noexcept {
    cancelled_.store(true);
    for (; !mine_.empty(); mine_.pop_back()) {
        submit_next(*mine_.back());
    }
}

void Batch::close() noexcept {
    cancel();
    wait();
    use_.reset();
}

void Batch::check() const {
    if (failure_) {
        std::rethrow_exception(failure_);
    }
    if (failed_index_ == none) {
        return;
    }
    uint64_t offset = plan_->offset(failed_index_);
    std::string message = io::region(plan_->verb(), image_, offset, plan_->length(failed_index_)) +
                          " (operation " + std::to_string(failed_index_) + " of " +
                          std::to_string(plan_->count()) + ")";
    int code = -failed_code_;
    if (plan_->writes()) {
        message += lock::refusal(image_, code);
    }
    if (failed_code_ == incomplete) {
        // An incomplete write has no errno.
        code = 0;
        message += io::wrote_only(plan_->written(failed_index_), plan_->length(failed_index_));
    }
    throw BatchError(code, message, failed_index_, offset);
}

// Submits in the slots that this thread continues with: all at first, then those whose operations
// complete before their submission returns. Returns false if the time is up before that.
bool Batch::submit_until(Time end) noexcept {
    while (!mine_.empty()) {
        // In turn, so that all slots are soon in use.
        for (std::size_t i = mine_.size(); i-- > 0;) {
            if (!submit_next(*mine_[i])) {
                mine_[i] = mine_.back();
                mine_.pop_back();
            }
            if (std::chrono::steady_clock::now() >= end) {
                return mine_.empty();
            }
        }
    }
    return true;
}

// Returns whether the caller continues with the slot. It does not if the operation is in flight, or
// if no operation was left. The batch may be gone then.
bool Batch::submit_next(Slot& slot) noexcept {
    Run run = slot.next_alone();
    if (cancelled_.load(std::memory_order_relaxed)) {
        run = {};
    } else if (run.count == 0) {
        run = take();
    }
    if (run.count == 0) {
        end_one();
        return false;
    }
    return slot.submit(run);
}

// Returns the next operations that go together; none if all were taken.
Run Batch::take() noexcept {
    uint64_t first = next_.load(std::memory_order_relaxed);
    while (first < plan_->count()) {
        const uint32_t count = plan_->together(first);
        if (next_.compare_exchange_weak(first, first + count, std::memory_order_relaxed)) {
            return {first, count};
        }
    }
    return {};
}

void Batch::fail(uint64_t index, int code) noexcept {
    Lock lock(mutex_);
    if (index < failed_index_) {
        failed_index_ = index;
        failed_code_ = code;
    }
}

void run(const Image& image, const std::shared_ptr<Plan>& plan, uint64_t depth) {
    Batch batch(image, plan, depth);
    do {
        batch.run_for(std::chrono::nanoseconds::max());
    } while (batch.recover());
    batch.check();
}

std::shared_ptr<Plan> Blocks::read(char* data, std::vector<uint64_t> offsets, uint64_t length) {
    return std::shared_ptr<Plan>(new Blocks(data, std::move(offsets), length, false, 0));
}

std::shared_ptr<Plan> Blocks::write(const Image& image, const char* data,
                                    std::vector<uint64_t> offsets, uint64_t length) {
    return std::shared_ptr<Plan>(
        new Blocks(const_cast<char*>(data), std::move(offsets), length, true, image.size()));
}

std::shared_ptr<Plan> Blocks::write_later(const char* data, std::vector<uint64_t> offsets,
                                          uint64_t length) {
    return std::shared_ptr<Plan>(
        new Blocks(const_cast<char*>(data), std::move(offsets), length, true, 0));
}

void Blocks::require(const abi::Functions& functions) const {
    if (writes_) {
        functions.rbd_aio_write.require();
    } else {
        functions.rbd_aio_read.require();
    }
}

uint32_t Blocks::together(uint64_t index) const noexcept {
    uint64_t last = index;
    uint64_t bytes = length_;
    while (last + 1 < offsets_.size() && bytes + length_ <= most_together &&
           offsets_[last] <= offsets_[last + 1] && offsets_[last + 1] - offsets_[last] == length_) {
        ++last;
        bytes += length_;
    }
    return static_cast<uint32_t>(last - index + 1);
}

ssize_t Blocks::submit(const abi::Functions& functions, abi::rbd_image_t image, Run run,
                       abi::rbd_completion_t completion) noexcept {
    const uint64_t offset = offsets_[run.first];
    const uint64_t length = run.count * length_;
    char* data = data_ + run.first * length_;
    return writes_ ? functions.rbd_aio_write(image, offset, length, data, completion)
                   : functions.rbd_aio_read(image, offset, length, data, completion);
}

int Blocks::complete(Run run, ssize_t result) noexcept {
    if (result < 0) {
        return static_cast<int>(result);
    }
    const uint64_t offset = offsets_[run.first];
    const uint64_t length = run.count * length_;
    if (!writes_) {
        // A block across the end of the image: the caller could not know where its data stops.
        return static_cast<uint64_t>(result) == length ? 0 : -EINVAL;
    }
    // librbd cuts an asynchronous write at the end of the image and does not report it.
    return offset < image_size_ && image_size_ - offset < length ? incomplete : 0;
}

Vectors::Vectors(std::vector<iovec> vectors, uint64_t offset) : vectors_(std::move(vectors)) {
    divide(offset);
}

Vectors::Vectors(const Image& image, std::vector<iovec> vectors, uint64_t offset)
    : vectors_(std::move(vectors)), writes_(true), image_size_(image.size()) {
    divide(offset);
}

std::shared_ptr<Vectors> Vectors::write_later(std::vector<iovec> vectors, uint64_t offset) {
    auto made = std::make_shared<Vectors>(std::move(vectors), offset);
    made->writes_ = true;
    return made;
}

void Vectors::divide(uint64_t offset) {
    constexpr int most_vectors = 1024;
    // A vector longer than a piece is cut, so that no call exceeds one.
    std::vector<iovec> cut;
    cut.reserve(vectors_.size());
    for (const iovec& vector : vectors_) {
        auto* base = static_cast<char*>(vector.iov_base);
        for (uint64_t at = 0; at < vector.iov_len; at += io::piece) {
            cut.push_back({base + at, std::min<uint64_t>(vector.iov_len - at, io::piece)});
        }
    }
    vectors_ = std::move(cut);
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
        uint64_t length = vectors_[i].iov_len;
        if (parts_.empty() || parts_.back().vectors == most_vectors ||
            parts_.back().length + length > io::piece) {
            parts_.push_back({i, 0, offset, 0, 0});
        }
        parts_.back().vectors += 1;
        parts_.back().length += length;
        offset += length;
    }
}

void Vectors::require(const abi::Functions& functions) const {
    if (writes_) {
        functions.rbd_aio_writev.require();
    } else {
        functions.rbd_aio_readv.require();
    }
}

ssize_t Vectors::submit(const abi::Functions& functions, abi::rbd_image_t image, Run run,
                        abi::rbd_completion_t completion) noexcept {
    const Part& part = parts_[run.first];
    const iovec* vectors = &vectors_[part.first];
    return writes_ ? functions.rbd_aio_writev(image, vectors, part.vectors, part.offset, completion)
                   : functions.rbd_aio_readv(image, vectors, part.vectors, part.offset, completion);
}

int Vectors::complete(Run run, ssize_t result) noexcept {
    if (result < 0) {
        return static_cast<int>(result);
    }
    Part& part = parts_[run.first];
    if (!writes_) {
        part.done = static_cast<uint64_t>(result);
        return 0;
    }
    part.done = part.length;
    return part.offset < image_size_ && image_size_ - part.offset < part.length ? incomplete : 0;
}

uint64_t Vectors::done() const noexcept {
    uint64_t sum = 0;
    for (const Part& part : parts_) {
        sum += part.done;
        if (part.done < part.length) {
            break;
        }
    }
    return sum;
}

}  // namespace rbdxx::batch
