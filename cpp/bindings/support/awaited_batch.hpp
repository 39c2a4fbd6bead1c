// A batch that an event loop awaits. No thread waits for it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include <rbdxx/batch.hpp>
#include <rbdxx/detail/known_size.hpp>

#include "batch_request.hpp"
#include "loop_queue.hpp"

namespace rbdxx::python {

class AwaitedBatch final : public LoopOperation {
public:
    // Asks a batch to stop. Any thread may do so, at any time, and more than once.
    class Stop {
    public:
        void operator()() noexcept;

    private:
        friend class AwaitedBatch;
        // Called when the batch is gone.
        void forget() noexcept;

        std::mutex mutex_;
        batch::Batch* batch_ = nullptr;
    };

    // Throws ClosedError, MissingFunction.
    AwaitedBatch(const Image& image, BatchRequest request);

    // Begins to submit, and returns at once. For one call only. Throws Error.
    void submit(const engine::QueuePointer& queue);
    // Stops the submission. Operations in flight complete.
    const std::shared_ptr<Stop>& stop() const noexcept { return stop_; }

    py::object value() override;
    void reset() override;

private:
    bool is_small() const noexcept;
    uint64_t end() const noexcept;
    void run(int code) noexcept;
    void run_in_thread();

    const Image image_;
    BatchRequest request_;
    std::optional<batch::Batch> batch_;
    detail::Size image_size_;
    const std::shared_ptr<Stop> stop_ = std::make_shared<Stop>();
};

}  // namespace rbdxx::python
