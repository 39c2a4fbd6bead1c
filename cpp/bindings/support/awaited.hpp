// The object that a coroutine of rbd.aio awaits. It follows the protocol of asyncio's futures. The
// drain of the loop's queue resumes the waiting task.
#pragma once

#include <pybind11/pybind11.h>

namespace rbdxx::python {

namespace py = pybind11;

// Makes the type `_Awaited` in the module. Its objects belong to one loop's thread, as futures do.
void bind_awaited(py::module_& m);

namespace awaited {

// Makes a pending object of that loop. `type` is the module's `_Awaited`.
py::object make(const py::object& type, const py::object& loop);

// Returns whether an object of the loop's queue is an `_Awaited`; otherwise it is an asyncio
// future.
bool is(const py::object& object) noexcept;

// Returns whether it has neither been resolved nor cancelled.
bool pending(const py::object& object) noexcept;

// Sets its value, or the exception to raise, and at once runs what waits for it, which is the next
// step of a task. Does nothing if it was cancelled before. An exception that ends the loop stays
// set: one that is not derived from Exception, or one that the loop's exception handler has raised.
void resolve(const py::object& object, py::object value, bool failed) noexcept;

}  // namespace awaited

}  // namespace rbdxx::python
