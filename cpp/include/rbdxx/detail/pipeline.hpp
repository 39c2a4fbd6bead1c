// The common base of reading ahead and writing behind: operations in flight over a ring of memory,
// whose size bounds them. Offsets and lengths are bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <rbdxx/detail/image_io.hpp>
#include <rbdxx/detail/ring.hpp>
#include <rbdxx/engine.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::pipeline {

// The longest time that a call waits; without a limit by default.
using Wait = std::chrono::nanoseconds;
inline constexpr Wait forever = Wait::max();

// One thread uses it and closes it.
class Pipeline : public engine::Work {
protected:
    Pipeline(const Image& image, char* memory, uint64_t capacity, uint64_t depth,
             const engine::QueuePointer& owner)
        : Work(owner), image_(image), memory_(memory), ring_(capacity), depth_(depth) {}

    // One asynchronous call. It keeps the image open until the thread that uses it drops it.
    class Transfer : public engine::Call {
    public:
        uint64_t offset = 0;
        uint64_t length = 0;
        bool complete = false;
        ssize_t result = 0;

    private:
        friend class Pipeline;
        void completed(ssize_t answer) noexcept override {
            pipeline_->end([&] {
                result = answer;
                complete = true;
            });
        }
        Pipeline* pipeline_ = nullptr;
        std::optional<Use<ImageState>> use_;
    };

    // Calls `submit(functions, raw image, completion)`. If librbd refuses the call, the transfer is
    // complete at once, with the result.
    // `Kind` is ImageIo, or one derived from it.
    template <class Kind = detail::ImageIo, class Submit>
    void submit(Transfer& transfer, const Submit& submit) {
        transfer.pipeline_ = this;
        const Use<ImageState>& use = transfer.use_.emplace(image_.use());
        Kind::require(use.state());
        transfer.complete = false;
        begin();
        try {
            const ssize_t answer =
                transfer.submit_call<Kind>(use.state(), [&](abi::rbd_completion_t completion) {
                    return submit(use.functions(), use.get(), completion);
                });
            if (answer < 0) {
                transfer.completed(answer);
            }
        } catch (...) {
            transfer.completed(0);
            throw;
        }
    }
    // Returns whether as many operations are in flight as allowed.
    bool full() {
        Lock lock(mutex_);
        return in_flight_ >= depth_;
    }
    bool is_complete(const Transfer& transfer) {
        Lock lock(mutex_);
        return transfer.complete;
    }

    // The most operations that may be queued, in flight or complete, besides the bound on memory.
    static constexpr std::size_t most_queued = 4096;

    const Image image_;
    char* const memory_;
    detail::Ring ring_;
    const uint64_t depth_;
};

}  // namespace rbdxx::pipeline
