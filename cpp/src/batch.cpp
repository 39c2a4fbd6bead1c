#include <rbdxx/batch.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/operation.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <string>

namespace rbdxx::batch {

namespace {

// How often an interruption is asked for, and how long the operations in flight may then take.
constexpr auto interval = std::chrono::milliseconds(50);
constexpr auto patience = std::chrono::milliseconds(250);

class Run;

// A place for one operation in flight.
struct alignas(64) Slot {
    // Who goes on after an operation: the thread that submits it, where it settled before the
    // submission returned; else the thread in which it settles.
    enum class Phase { submitting, flying, settled };

    Run* run = nullptr;
    uint64_t index = 0;
    std::atomic<Phase> phase{Phase::settled};
};

class Run {
public:
    Run(const Image& image, std::shared_ptr<Plan> plan, uint64_t depth)
        : image_(image), use_(image.use()), plan_(std::move(plan)), slots_(depth), active_(depth) {
        aio::require(use_.functions());
        mine_.reserve(depth);
        for (Slot& slot : slots_) {
            slot.run = this;
            mine_.push_back(&slot);
        }
    }

    // Whether every operation is over, after at most that time. Called by one thread.
    bool work(std::chrono::milliseconds time) {
        const auto end = std::chrono::steady_clock::now() + time;
        if (!submit_until(end)) {
            return false;
        }
        std::unique_lock<std::mutex> lock(mutex_);
        return over_changed_.wait_until(lock, end, [this] { return over_; });
    }

    // Called by the thread that works.
    void stop() noexcept {
        stopping_.store(true);
        for (; !mine_.empty(); mine_.pop_back()) {
            submit_next(*mine_.back());
        }
    }

    // Has `afterwards` called once everything is over; false where it is over already.
    bool leave_to(std::function<void()> afterwards) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (over_) {
            return false;
        }
        afterwards_ = std::move(afterwards);
        return true;
    }

    void check() {
        if (failed_index_ == none) {
            return;
        }
        uint64_t offset = plan_->offset(failed_index_);
        std::string message =
            io::region(plan_->verb(), image_, offset, plan_->length(failed_index_)) +
            " (operation " + std::to_string(failed_index_) + " of " +
            std::to_string(plan_->count()) + ")";
        // Less written than asked for has no errno.
        int code = failed_code_ == incomplete ? 0 : -failed_code_;
        throw BatchError(code, message, failed_index_, offset);
    }

private:
    static constexpr uint64_t none = std::numeric_limits<uint64_t>::max();

    // Submits in the slots that are this thread's to go on with: all at first, then those whose
    // operations settle before their submission returns. False where the time is up before that.
    bool submit_until(std::chrono::steady_clock::time_point end) noexcept {
        while (!mine_.empty()) {
            // Each in its turn, so that all are soon in use.
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

    // Whether the caller goes on with the slot: it does not where the operation is under way, or
    // where none was left. The run may be gone then.
    bool submit_next(Slot& slot) noexcept {
        uint64_t index = stopping_.load(std::memory_order_relaxed)
                             ? plan_->count()
                             : next_.fetch_add(1, std::memory_order_relaxed);
        if (index >= plan_->count()) {
            retire();
            return false;
        }
        slot.index = index;
        slot.phase.store(Slot::Phase::submitting, std::memory_order_relaxed);
        int answer = submit(slot);
        if (answer < 0) {
            fail(index, answer);
            return true;
        }
        auto phase = Slot::Phase::submitting;
        return !slot.phase.compare_exchange_strong(phase, Slot::Phase::flying,
                                                   std::memory_order_acq_rel);
    }

    int submit(Slot& slot) noexcept {
        abi::rbd_completion_t completion = nullptr;
        int answer = use_->rbd_aio_create_completion(&slot, settle, &completion);
        if (answer < 0) {
            return answer;
        }
        answer =
            static_cast<int>(plan_->submit(use_.functions(), use_.get(), slot.index, completion));
        if (answer < 0) {
            use_->rbd_aio_release(completion);
        }
        return answer;
    }

    // Runs in librbd's threads.
    static void settle(abi::rbd_completion_t completion, void* argument) noexcept {
        auto& slot = *static_cast<Slot*>(argument);
        Run& run = *slot.run;
        ssize_t result = run.use_->rbd_aio_get_return_value(completion);
        aio::release(run.use_.state(), completion);
        int failure = run.plan_->settle(slot.index, result);
        if (failure < 0) {
            run.fail(slot.index, failure);
        }
        if (slot.phase.exchange(Slot::Phase::settled, std::memory_order_acq_rel) ==
            Slot::Phase::flying) {
            while (run.submit_next(slot)) {
            }
        }
    }

    void fail(uint64_t index, int code) noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (index < failed_index_) {
            failed_index_ = index;
            failed_code_ = code;
        }
    }

    void retire() noexcept {
        if (active_.fetch_sub(1, std::memory_order_acq_rel) != 1) {
            return;
        }
        // What it holds goes to another thread: the last use of an image may close it.
        std::function<void()> afterwards;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            over_ = true;
            afterwards = std::move(afterwards_);
            over_changed_.notify_all();
        }
        if (afterwards) {
            afterwards();
        }
    }

    const Image image_;
    const Use<ImageState> use_;
    const std::shared_ptr<Plan> plan_;
    std::vector<Slot> slots_;
    std::vector<Slot*> mine_;
    std::atomic<uint64_t> next_{0};
    std::atomic<uint64_t> active_;
    std::atomic<bool> stopping_{false};

    std::mutex mutex_;
    std::condition_variable over_changed_;
    bool over_ = false;
    uint64_t failed_index_ = none;
    int failed_code_ = 0;
    std::function<void()> afterwards_;
};

}  // namespace

Outcome run(const Image& image, const std::shared_ptr<Plan>& plan, uint64_t depth,
            const std::function<bool()>& interrupted, const std::function<Orphan()>& orphan) {
    // Where there is nothing to do, too.
    plan->require(image.use().functions());
    if (plan->count() == 0) {
        return Outcome::done;
    }
    auto all = std::make_shared<Run>(image, plan, std::min(depth, plan->count()));
    while (!all->work(interval)) {
        if (!interrupted()) {
            continue;
        }
        all->stop();
        if (!all->work(patience) &&
            all->leave_to([all, take = orphan()]() mutable { take(std::move(all)); })) {
            return Outcome::orphaned;
        }
        return Outcome::interrupted;
    }
    all->check();
    return Outcome::done;
}

std::shared_ptr<Plan> Blocks::read(char* data, std::vector<uint64_t> offsets, uint64_t length) {
    return std::shared_ptr<Plan>(new Blocks(data, std::move(offsets), length, false, 0));
}

std::shared_ptr<Plan> Blocks::write(const Image& image, const char* data,
                                    std::vector<uint64_t> offsets, uint64_t length) {
    return std::shared_ptr<Plan>(
        new Blocks(const_cast<char*>(data), std::move(offsets), length, true, image.size()));
}

void Blocks::require(const abi::Functions& functions) const {
    if (writes_) {
        functions.rbd_aio_write.require();
    } else {
        functions.rbd_aio_read.require();
    }
}

ssize_t Blocks::submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                       abi::rbd_completion_t completion) noexcept {
    char* data = data_ + index * length_;
    return writes_ ? functions.rbd_aio_write(image, offsets_[index], length_, data, completion)
                   : functions.rbd_aio_read(image, offsets_[index], length_, data, completion);
}

int Blocks::settle(uint64_t index, ssize_t result) noexcept {
    if (result < 0) {
        return static_cast<int>(result);
    }
    if (!writes_) {
        // A block that reaches across the end: nobody could tell where its data stops.
        return static_cast<uint64_t>(result) == length_ ? 0 : -EINVAL;
    }
    // librbd cuts an asynchronous write at the end of the image without a word.
    return offsets_[index] < image_size_ && image_size_ - offsets_[index] < length_ ? incomplete
                                                                                    : 0;
}

Vectors::Vectors(std::vector<iovec> vectors, uint64_t offset) : vectors_(std::move(vectors)) {
    divide(offset);
}

Vectors::Vectors(const Image& image, std::vector<iovec> vectors, uint64_t offset)
    : vectors_(std::move(vectors)), writes_(true), image_size_(image.size()) {
    divide(offset);
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

ssize_t Vectors::submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                        abi::rbd_completion_t completion) noexcept {
    const Part& part = parts_[index];
    const iovec* vectors = &vectors_[part.first];
    return writes_ ? functions.rbd_aio_writev(image, vectors, part.vectors, part.offset, completion)
                   : functions.rbd_aio_readv(image, vectors, part.vectors, part.offset, completion);
}

int Vectors::settle(uint64_t index, ssize_t result) noexcept {
    if (result < 0) {
        return static_cast<int>(result);
    }
    Part& part = parts_[index];
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
