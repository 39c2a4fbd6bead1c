// The calls that rbd.aio submits. Each one returns what its coroutine awaits in the running loop.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "batch_request.hpp"
#include "current_loop.hpp"
#include "image.hpp"
#include "loop_queue.hpp"

namespace rbdxx::python {

// The asynchronous calls on one image, from any loop.
class AsyncCalls {
public:
    // `queue_of(loop)` returns the _LoopQueue of a loop, always the same one. Raises TypeError if
    // `image` is not an Image.
    AsyncCalls(py::object image, py::object queue_of);

    // From and to memory, as Image.read, readinto and write.
    py::object read(uint64_t offset, uint64_t length, int flags);
    py::object readinto(py::handle target, uint64_t offset, int flags) {
        return buffered(target, offset, flags, false);
    }
    py::object write(py::handle data, uint64_t offset, int flags) {
        return buffered(data, offset, flags, true);
    }
    // Runs many operations as one. Returns what to await, and a function that stops the submission
    // of further operations.
    py::tuple batch(BatchRequest request);
    py::object discard(uint64_t offset, uint64_t length);
    py::object write_zeroes(uint64_t offset, uint64_t length, int zero_flags);
    py::object write_same(py::handle data, uint64_t offset, uint64_t length, int flags);
    py::object compare_and_write(py::handle compare, py::handle data, uint64_t offset, int flags);
    py::object flush();
    py::object close();

private:
    using Here = CurrentLoop::Here;
    // Returns the running loop and its queue. Raises in a forked child.
    Here here();

    // Reads into or writes from the memory of one buffer.
    py::object buffered(py::handle memory, uint64_t offset, int flags, bool writes);
    // Submits an operation by `call(operation, queue)`. Returns its future.
    template <class Made, class Call>
    py::object submit(const Here& here, std::unique_ptr<Made> operation, const Call& call);
    // Calls `call(operation, queue, image)` for a call whose only result is success.
    template <class Made, class Call>
    py::object plain(std::unique_ptr<Made> operation, Call call);
    // Returns the future of a result that needs no I/O.
    py::object done(const py::object& value);

    py::object image_;
    PyImage* target_;
    CurrentLoop current_;
};

using AsyncCallsClass = py::class_<AsyncCalls>;

// Starts to open an image in the queue's loop. `future` gets the Image.
void open_in_loop(LoopQueue& queue, const py::object& future, const IoCtxArgument& ioctx,
                  const OpenOptions& options);

}  // namespace rbdxx::python
