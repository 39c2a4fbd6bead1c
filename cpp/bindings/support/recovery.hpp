// Recovery of asynchronous calls that were refused because of an exclusive lock that an outage left
// behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <exception>

#include <rbdxx/aio.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>

#include "gil.hpp"

namespace rbdxx::python {

// Releases the lock for one operation that needs it, and submits the operation once more. Only the
// thread that submits the operation, or takes it from its queue, may use this; any thread may call
// is_final() and result().
class Recovery {
public:
    // Called before the operation is submitted.
    void prepare(const Image& image) noexcept {
        released_ = lock::released(image);
        refusal_.store(0);
        step_.store(Step::first);
    }

    // Called when the operation has completed. Returns true if it is in flight again and has no
    // result yet. `submit()` submits it again.
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
                    aio::release_left_behind(operation, queue, image, released_, answer);
                });
                return true;
            }
            if (answer > 0) {
                without_gil([&] { operation.finish(); });
                submit();
                refusal_.store(0);
            }
        } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
            // The image was closed meanwhile, or no thread can be started: the refusal is the
            // result.
        }
        step_.store(Step::last);
        return refusal_.load() == 0;
    }

    // Returns whether the operation has completed for good. Any thread may ask.
    bool is_final(const engine::Operation& operation) const noexcept {
        const Step step = step_.load();
        const bool complete = operation.is_complete();
        const bool refused = lock::may_be_left_behind(operation.result());
        // The step may have changed between these reads.
        return complete && step_.load() == step &&
               (step == Step::last || (step == Step::first && !refused));
    }

    // The result of a final operation.
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
