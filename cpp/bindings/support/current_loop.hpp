// The asyncio event loop that runs in this thread, and the queue of the operations submitted from
// it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <utility>

#include "awaited.hpp"
#include "loop_queue.hpp"

namespace rbdxx::python {

// Finds the loop for one owner of calls, which may be used from any loop.
class CurrentLoop {
public:
    struct Here {
        py::object loop;
        py::object owner;  // the owner of the queue
        LoopQueue* queue = nullptr;
    };

    // `queue_of(loop)` returns the _LoopQueue of a loop, always the same one.
    explicit CurrentLoop(py::object queue_of);

    // For a call that uses `handle`. Raises RuntimeError if no loop is running. Throws ForkedError.
    Here here(Handle& handle);
    // Returns a new future of that loop, for results that asyncio's functions take or that several
    // tasks await.
    py::object future_of(const Here& here) const;

    // Submits an operation by `call(operation, queue)`. Returns an object that one coroutine
    // awaits.
    template <class Made, class Call>
    py::object submit(const Here& here, std::unique_ptr<Made> operation, const py::object& owner,
                      const Call& call) const {
        py::object made = awaited::make(awaited_, here.loop);
        here.queue->submit(std::move(operation), made, owner, call);
        return made;
    }

private:
    const py::object queue_of_;
    const py::object get_running_loop_;
    const py::object create_future_;
    const py::object awaited_;  // the type

    // The loop and the queue of the last call: most owners use one loop, so the lookup is saved.
    // Both references are weak, because an owner must keep neither a loop that has ended nor its
    // queue.
    std::mutex mutex_;
    py::object last_loop_;
    py::object last_owner_;
    LoopQueue* last_queue_ = nullptr;
};

}  // namespace rbdxx::python
