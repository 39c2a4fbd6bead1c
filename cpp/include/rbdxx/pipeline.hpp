// Streams of an image's data at queue depth: extents read ahead in order, and written behind, by
// way of one ring of memory that bounds both. Offsets and lengths are bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include <rbdxx/image.hpp>

namespace rbdxx::pipeline {

// Memory that is given out and comes back first in, first out; each piece in one stretch.
class Ring {
public:
    explicit Ring(uint64_t capacity) : capacity_(capacity) {}
    struct Piece {
        uint64_t start = 0;
        uint64_t cost = 0;  // with what was left over at the ring's end
    };
    std::optional<Piece> take(uint64_t length);
    // Gives back the oldest piece, which cost so much.
    void give(uint64_t cost) { used_ -= cost; }
    uint64_t capacity() const { return capacity_; }

private:
    const uint64_t capacity_;
    uint64_t head_ = 0;
    uint64_t used_ = 0;
};

// What is common to both directions: operations under way, and waiting for them. One thread uses
// it.
class Pipeline {
public:
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    // Whether nothing is under way, for which it waits as long.
    bool settle_within(std::chrono::milliseconds time);
    // Has `afterwards` called, by one of librbd's threads, once nothing is under way: the pipeline
    // may be gone when that returns. False, and no call, where nothing is under way now.
    bool leave_to(std::function<void()> afterwards);

protected:
    using Milliseconds = std::chrono::milliseconds;

    Pipeline(const Image& image, char* memory, uint64_t capacity, uint64_t depth)
        : image_(image), memory_(memory), ring_(capacity), depth_(depth) {}
    // Whoever derives from it closes first: the operations are the derived class's.
    ~Pipeline() = default;

    // One asynchronous call. It keeps the image open until the using thread is through with it.
    struct Operation {
        Pipeline* pipeline = nullptr;
        uint64_t offset = 0;
        uint64_t length = 0;
        bool settled = false;
        ssize_t result = 0;
        std::optional<Use<ImageState>> use;
    };
    // Waits for what is under way: its memory is librbd's until then.
    void settle_all() noexcept;
    // Starts `submit(functions, raw image, completion)`. One that librbd refuses settles at once,
    // with its answer.
    template <class Submit>
    void start(Operation& operation, const char* verb, const Submit& submit) {
        const abi::rbd_completion_t completion = prepare(operation, verb);
        try {
            const int answer = submit(operation.use->functions(), operation.use->get(), completion);
            if (answer < 0) {
                operation.result = answer;
                take_back(operation, completion);
            }
        } catch (...) {
            take_back(operation, completion);
            throw;
        }
    }
    // Waits until `ready()`, with the lock held, or for as long; gives what it says.
    template <class Ready>
    bool wait(Milliseconds time, const Ready& ready) {
        std::unique_lock<std::mutex> lock(mutex_);
        return settled_.wait_for(lock, time, ready);
    }
    // Whether as many operations are in flight as may be.
    bool full();
    bool settled(const Operation& operation);

    // How many operations may be queued, in flight or settled, besides the bound on memory.
    static constexpr std::size_t most_queued = 4096;

    const Image image_;
    char* const memory_;
    Ring ring_;
    const uint64_t depth_;
    std::mutex mutex_;  // guards settled and result of operations, and flying_
    std::condition_variable settled_;
    uint64_t flying_ = 0;
    std::function<void()> afterwards_;

private:
    abi::rbd_completion_t prepare(Operation& operation, const char* verb);
    void take_back(Operation& operation, abi::rbd_completion_t completion) noexcept;
    static void settle(void* completion, void* argument) noexcept;
};

}  // namespace rbdxx::pipeline
