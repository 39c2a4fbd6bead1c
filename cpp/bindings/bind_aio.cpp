// The private classes that rbd.aio is built on: the queue of an event loop, and the calls on an
// image that report to it.
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>

#include "support/aio.hpp"
#include "support/awaited.hpp"
#include "support/bindings.hpp"
#include "support/fastcall.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

void bind_aio(py::module_& m) {
    // rbd.aio is the only user of these classes; its own docstrings document them.
    py::class_<LoopQueue> queue(m, "_LoopQueue", "The completions of one event loop.");
    queue.def(py::init<>());
    queue.def("fileno", &LoopQueue::descriptor);
    queue.def("drain", &LoopQueue::drain);
    queue.def_property_readonly("in_flight", &LoopQueue::in_flight);
    queue.def("open", [](LoopQueue& self, const py::object& future, const IoCtxArgument& ioctx,
                         const std::optional<Name>& name, const std::optional<Name>& snapshot,
                         bool read_only, const std::optional<Name>& image_id) {
        open_in_loop(self, future, ioctx, open_options(name, snapshot, read_only, image_id));
    });

    bind_awaited(m);
    py::class_<Cancellation, std::shared_ptr<Cancellation>> type(
        m, "_Cancellation", "A request to end what a thread of rbd.aio is doing.");
    type.def(py::init<>());
    type.def("cancel", &Cancellation::cancel);
    type.def_property_readonly("cancelled", &Cancellation::cancelled);
    // For the thread that heeds the request: raises CancelledError, unless a call in that thread
    // has raised it.
    type.def("check", &Cancellation::check);
    // Lets librbd continue if it waits for the callback that calls this.
    type.def("yield_to_library", [](Cancellation&) { without_gil([] {}); });
    m.def("_heed",
          [](std::shared_ptr<Cancellation> cancellation) { heed(std::move(cancellation)); });

    AsyncCallsClass calls(m, "_AsyncCalls", "The calls on an image that return asyncio futures.");
    calls.def(py::init<py::object, py::object>());
    bind_fastcall(calls);
    calls.def("read_blocks", [](AsyncCalls& self, const py::object& offsets, const U64& block_size,
                                const py::object& out, const U64& queue_depth) {
        return self.batch(read_blocks_request(offsets, block_size, out, queue_depth));
    });
    calls.def("write_blocks", [](AsyncCalls& self, const py::object& data,
                                 const py::object& offsets, const U64& queue_depth) {
        return self.batch(write_blocks_request(data, offsets, queue_depth));
    });
    calls.def("readv", [](AsyncCalls& self, const py::object& buffers, const U64& offset) {
        return self.batch(readv_request(buffers, offset));
    });
    calls.def("writev", [](AsyncCalls& self, const py::object& buffers, const U64& offset) {
        return self.batch(writev_request(buffers, offset));
    });
    calls.def("discard", [](AsyncCalls& self, const U64& offset, const U64& length) {
        return self.discard(offset, length);
    });
    calls.def("write_zeroes",
              [](AsyncCalls& self, const U64& offset, const U64& length, const Flags& zero_flags) {
                  return self.write_zeroes(offset, length, zero_flags);
              });
    calls.def("write_same",
              [](AsyncCalls& self, const py::object& data, const U64& offset, const U64& length,
                 const Flags& flags) { return self.write_same(data, offset, length, flags); });
    calls.def(
        "compare_and_write",
        [](AsyncCalls& self, const py::object& compare, const py::object& data, const U64& offset,
           const Flags& flags) { return self.compare_and_write(compare, data, offset, flags); });
    calls.def("flush", &AsyncCalls::flush);
    calls.def("close", &AsyncCalls::close);
}

}  // namespace rbdxx::python
