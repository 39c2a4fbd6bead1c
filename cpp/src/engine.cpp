#include <rbdxx/engine.hpp>
#include <rbdxx/error.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace rbdxx::engine {

Queue::Queue(const std::shared_ptr<Queue>& owner)
    : owner_(owner), descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (descriptor_ < 0) {
        throw Error(errno, "error making an eventfd for completions");
    }
}

Queue::~Queue() {
    ::close(descriptor_);
}

Item* Queue::put(std::atomic<Item*>& list, Item* item) noexcept {
    Item* head = list.load(std::memory_order_relaxed);
    do {
        item->next_ = head;
    } while (!list.compare_exchange_weak(head, item, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
    return head;
}

Item* Queue::take_all(std::atomic<Item*>& list) noexcept {
    Item* newest = list.exchange(nullptr, std::memory_order_seq_cst);
    Item* oldest = nullptr;
    while (newest != nullptr) {
        Item* following = newest->next_;
        newest->next_ = oldest;
        oldest = newest;
        newest = following;
    }
    return oldest;
}

void Queue::push(Item* item) noexcept {
    const Item* head = put(head_, item);
    if (abandoned_.load(std::memory_order_seq_cst)) {
        pass_on();
    } else if (head == nullptr && resting_.exchange(false, std::memory_order_seq_cst)) {
        wake();
    }
}

Item* Queue::take() noexcept {
    return take_all(head_);
}

bool Queue::hold(Item* item) noexcept {
    put(held_, item);
    // It counts again once it is submitted.
    return in_flight_.fetch_sub(1) > 1;
}

void Queue::submit_held() noexcept {
    if (!has_held()) {
        return;
    }
    Item* item = take_all(held_);
    while (item != nullptr) {
        Item* following = item->next_;
        begun();
        item->submit_held();
        item = following;
    }
}

void Queue::ended() noexcept {
    in_flight_.fetch_sub(1);
    submit_held();
}

void Queue::acknowledge() noexcept {
    uint64_t count = 0;
    // Fails only if there is nothing to acknowledge.
    [[maybe_unused]] ssize_t got = ::read(descriptor_, &count, sizeof count);
    resting_.store(true, std::memory_order_seq_cst);
}

void Queue::wait() noexcept {
    wait_for(std::chrono::milliseconds(-1));
}

void Queue::wait_for(std::chrono::milliseconds time) noexcept {
    pollfd waited{descriptor_, POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(time.count())) > 0) {
        acknowledge();
    }
}

void Queue::wake() noexcept {
    uint64_t one = 1;
    // Fails only if the count is at its maximum; then the descriptor is readable.
    [[maybe_unused]] ssize_t put = ::write(descriptor_, &one, sizeof one);
}

void Queue::abandon() noexcept {
    next_owner_ = owner_.lock();
    if (next_owner_ != nullptr) {
        abandoned_.store(true, std::memory_order_seq_cst);
        pass_on();
    }
}

void Queue::pass_on() noexcept {
    Item* item = take();
    while (item != nullptr) {
        Item* following = item->next_;
        next_owner_->push(item);
        item = following;
    }
}

void Librbd::require(const abi::Functions& functions) {
    functions.rbd_aio_create_completion.require();
    functions.rbd_aio_get_return_value.require();
    functions.rbd_aio_release.require();
}

namespace {

// How long the thread of a lane waits for more.
constexpr std::chrono::seconds lane_rest(1);

}  // namespace

void Lane::enter(uint64_t bytes) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    ++calls_;
    bytes_ += bytes;
}

bool Lane::try_enter(uint64_t bytes, bool shared) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    const bool idle = taken_ == submitted_;
    const bool room = calls_ == 0 || ((most_calls_ == 0 || calls_ < most_calls_) &&
                                      (most_bytes_ == 0 || bytes_ + bytes <= most_bytes_));
    if (shared || !idle || !room) {
        return false;
    }
    ++calls_;
    bytes_ += bytes;
    return true;
}

uint64_t Lane::later(uint64_t bytes, std::function<void()> submit) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(submit));
    if (!running_) {
        try {
            std::thread([self = shared_from_this()] { self->run(); }).detach();
        } catch (...) {
            waiting_.pop_back();
            throw;
        }
        running_ = true;
    }
    ++taken_;
    ++calls_;
    bytes_ += bytes;
    changed_.notify_all();
    return taken_;
}

void Lane::done(uint64_t bytes) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    --calls_;
    bytes_ -= bytes;
}

void Lane::run() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    while (changed_.wait_for(lock, lane_rest, [this] { return !waiting_.empty(); })) {
        const std::function<void()> submit = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        submit();
        lock.lock();
        ++submitted_;
        changed_.notify_all();
    }
    running_ = false;
}

void Lane::wait(uint64_t number) noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this, number] { return submitted_ >= number; });
}

void Operation::begin(QueuePointer queue, std::shared_ptr<Handle> handle) {
    handle->enter();
    handle_ = std::move(handle);
    queue_ = std::move(queue);
    queue_->begun();
    result_.store(0, std::memory_order_relaxed);
    left_ = false;
    complete_.store(false, std::memory_order_relaxed);
}

void Operation::withdraw() noexcept {
    queue_->ended();
    queue_.reset();
    finish();
}

void Operation::completed(ssize_t result) noexcept {
    result_.store(result, std::memory_order_relaxed);
    // The operation may be gone as soon as it is in the queue, and its share of the queue with it.
    QueuePointer queue = std::move(queue_);
    if (lane_ != nullptr) {
        lane_->done(bytes_);
        lane_.reset();
    }
    if (leaves_early_) {
        // The consumer drops the share, because the last share may end the connection.
        left_ = true;
        Handle::leave_from_library(handle_);
    }
    complete_.store(true, std::memory_order_release);
    queue->push(this);
    queue->ended();
}

void Operation::finish() noexcept {
    if (handle_) {
        std::shared_ptr<Handle> handle = std::move(handle_);
        if (!left_) {
            handle->leave();
        }
    }
}

void Work::begin(uint64_t count) {
    Lock lock(mutex_);
    in_flight_ += count;
}

void Work::wait() noexcept {
    wait_for(std::chrono::nanoseconds::max());
}

bool Work::wait_for(std::chrono::nanoseconds time) noexcept {
    return wait_until(time, [this] { return in_flight_ == 0; });
}

bool Work::abandon() noexcept {
    Lock lock(mutex_);
    if (in_flight_ > 0) {
        abandoned_to_ = owner_.lock();
    }
    return abandoned_to_ != nullptr;
}

}  // namespace rbdxx::engine
