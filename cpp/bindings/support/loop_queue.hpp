// The completions of one asyncio event loop: resolved in batches, when the loop finds the queue's
// descriptor readable.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <typeinfo>
#include <vector>

#include "buffer.hpp"
#include "callbacks.hpp"
#include "image.hpp"

namespace rbdxx::python {

// An asynchronous call whose end an asyncio future tells.
class LoopOperation : public engine::Operation {
public:
    LoopOperation() { leave_early(); }

    // What the future is to give; throws what it is to raise. Runs once, in the loop's thread.
    virtual py::object value() = 0;
    // Submits what is left to do; whether it did. Runs once complete, in the loop's thread.
    virtual bool again(const engine::QueuePointer&) { return false; }
    // Somebody cancelled: nobody takes the value.
    virtual void unwanted() {}
    // Drops everything, for the next use.
    virtual void reset();
    // Whether the queue may use it again.
    virtual bool reusable() const { return false; }

    // For one that no loop will take any more.
    void deliver() noexcept override;

    py::object future;
    py::object owner;  // the Python image: it keeps what the handle needs
};

class LoopQueue {
public:
    LoopQueue();
    // The callback thread disposes of what is still in flight.
    ~LoopQueue();
    LoopQueue(const LoopQueue&) = delete;
    LoopQueue& operator=(const LoopQueue&) = delete;

    int descriptor() const noexcept { return queue_->descriptor(); }
    std::size_t in_flight() const noexcept { return in_flight_; }

    // Submits an operation by `call(operation, queue)`; destroys it where that throws.
    template <class Made, class Call>
    void submit(std::unique_ptr<Made> operation, const py::object& future, const py::object& owner,
                const Call& call) {
        operation->future = future;
        operation->owner = owner;
        call(*operation, queue_);
        operation.release();  // NOLINT(bugprone-unused-return-value): it comes back by the queue
        ++in_flight_;
    }

    // Resolves the futures of all that has completed. The loop's reader. What a signal handler
    // raises comes out of it; the rest is done at the next time.
    void drain();

    // An operation of that very kind that was used before, or null.
    template <class Made>
    std::unique_ptr<Made> reused() {
        if (spare_.empty()) {
            return nullptr;
        }
        const LoopOperation& last = *spare_.back();
        if (typeid(last) != typeid(Made)) {
            return nullptr;
        }
        auto* operation = static_cast<Made*>(spare_.back().release());
        spare_.pop_back();
        return std::unique_ptr<Made>(operation);
    }

private:
    void deliver(engine::Item* completed);
    void conclude(LoopOperation& operation) noexcept;
    // Throws the error that is set; what has completed comes again.
    [[noreturn]] void go_on_later(engine::Item* completed);

    engine::QueuePointer queue_;  // of LoopOperations alone
    std::size_t in_flight_ = 0;
    std::vector<std::unique_ptr<LoopOperation>> spare_;
    py::object set_result_;
    py::object set_exception_;
};

}  // namespace rbdxx::python
