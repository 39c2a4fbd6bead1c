// The completions of one asyncio event loop. They are resolved in batches, when the loop finds the
// queue's descriptor readable.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <typeinfo>
#include <vector>

#include "buffer.hpp"
#include "callbacks.hpp"
#include "image.hpp"

namespace rbdxx::python {

// An asynchronous call whose result goes to an asyncio future.
class LoopOperation : public engine::Operation {
public:
    LoopOperation() { leave_early(); }

    // Returns the result for the future, or throws the exception for it. Runs once, in the loop's
    // thread.
    virtual py::object value() = 0;
    // Submits the rest of the work, if there is any. Returns whether it did. Runs in the loop's
    // thread, after the operation has completed.
    virtual bool again(const engine::QueuePointer&) { return false; }
    // The waiter was cancelled: nobody takes the value.
    virtual void unwanted() {}
    // Drops everything, for the next use.
    virtual void reset();
    // Returns whether the queue may use it again.
    virtual bool reusable() const { return false; }

    // For an operation that no loop will take any more.
    void deliver() noexcept override;

    py::object future;
    py::object owner;  // the Python image, which keeps what the handle needs
};

class LoopQueue {
public:
    LoopQueue();
    // The thread of callbacks destroys the operations that are still in flight.
    ~LoopQueue();
    LoopQueue(const LoopQueue&) = delete;
    LoopQueue& operator=(const LoopQueue&) = delete;

    int descriptor() const noexcept { return queue_->descriptor(); }
    std::size_t in_flight() const noexcept { return in_flight_; }

    // Submits an operation by `call(operation, queue)`. Destroys the operation if that throws.
    template <class Made, class Call>
    void submit(std::unique_ptr<Made> operation, const py::object& future, const py::object& owner,
                const Call& call) {
        operation->future = future;
        operation->owner = owner;
        call(*operation, queue_);
        operation.release();  // NOLINT(bugprone-unused-return-value): the queue returns it
        ++in_flight_;
    }

    // The loop's reader: resolves the futures of all completed operations. Raises what a signal
    // handler raises; the next call then does the rest.
    void drain();

    // Returns a used operation of exactly that type, or null.
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
    // Throws the error that is set. The next call gets `completed` again.
    [[noreturn]] void go_on_later(engine::Item* completed);

    engine::QueuePointer queue_;  // of LoopOperations only
    std::size_t in_flight_ = 0;
    std::vector<std::unique_ptr<LoopOperation>> spare_;
    py::object set_result_;
    py::object set_exception_;
};

}  // namespace rbdxx::python
