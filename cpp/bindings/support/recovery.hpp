// Asynchronous calls that were refused for an exclusive lock that an outage left behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <exception>

#include <rbdxx/aio.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>

#include "gil.hpp"

namespace rbdxx::python {

// Of one operation that needs the lock: has the lock released, and the operation submitted once
// more. All but settled() and result() is for the thread that submits it, or takes it from its
// queue.
class Recovery {
public:
    // Before it is submitted.
    void prepare(const Image& image) noexcept {
        released_ = lock::released(image);
        refusal_.store(0);
        step_.store(Step::first);
    }

    // The operation has completed. Whether it is in flight again: there is no result yet.
    // `submit()` submits it anew.
    template <class Submit>
    bool again(engine::Operation& operation, const engine::QueuePointer& queue, const Image& image,
               const Submit& submit) noexcept {
        const Step step = step_.load();
        const ssize_t answer = operation.result();
        if (step == Step::last || (step == Step::first && !lock::may_be_left_behind(answer))) {
            return false;
        }
        try {
            if (step == Step::first) {
                refusal_.store(answer);
                step_.store(Step::releasing);
                without_gil([&] {
                    operation.finish();
                    aio::release_left_behind(operation, queue, image, released_);
                });
                return true;
            }
            if (answer > 0) {
                without_gil([&] { operation.finish(); });
                submit();
                refusal_.store(0);
            }
        } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
            // Closed meanwhile, or no thread to be had: the refusal is the result.
        }
        step_.store(Step::last);
        return refusal_.load() == 0;
    }

    // Whether the operation is complete for good. Any thread may ask.
    bool settled(const engine::Operation& operation) const noexcept {
        const Step step = step_.load();
        const bool complete = operation.is_complete();
        const bool refused = lock::may_be_left_behind(operation.result());
        // It may have gone on between these.
        return complete && step_.load() == step &&
               (step == Step::last || (step == Step::first && !refused));
    }

    // The result of one that is settled.
    ssize_t result(const engine::Operation& operation) const noexcept {
        const ssize_t refusal = refusal_.load();
        return refusal != 0 ? refusal : operation.result();
    }

private:
    enum class Step { first, releasing, last };

    std::atomic<Step> step_{Step::first};
    std::atomic<ssize_t> refusal_{0};
    unsigned released_ = 0;
};

}  // namespace rbdxx::python
