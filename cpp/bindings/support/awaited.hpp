// What a coroutine of rbd.aio awaits: it follows the protocol of asyncio's futures, and resumes the
// waiting task from the drain of the loop's queue.
#pragma once

#include <pybind11/pybind11.h>

namespace rbdxx::python {

namespace py = pybind11;

// Makes the type `_Awaited` in the module. Its objects belong to one loop's thread, as futures do.
void bind_awaited(py::module_& m);

namespace awaited {

// A pending one, of that loop. `type` is the module's `_Awaited`.
py::object make(const py::object& type, const py::object& loop);

// Whether an object of the loop's queue is one of these, and not an asyncio future.
bool is(const py::object& object) noexcept;

// Whether it has neither been resolved nor cancelled.
bool pending(const py::object& object) noexcept;

// Gives it its value, or the exception to raise, and runs at once whatever waits for it: the next
// step of a task. Does nothing where it was cancelled before. Leaves set what ends the loop: an
// exception that is no Exception, or one that the loop's handler of exceptions has raised.
void resolve(const py::object& object, py::object value, bool failed) noexcept;

}  // namespace awaited

}  // namespace rbdxx::python
