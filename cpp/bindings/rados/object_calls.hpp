// The calls on objects that rbd.aio awaits. Each one returns an asyncio future of the running loop.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <rbdxx/rados/operation.hpp>

#include "../support/current_loop.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

// The asynchronous calls through one I/O context, from any loop.
class ObjectCalls {
public:
    // Raises TypeError if `ioctx` is not an Ioctx.
    ObjectCalls(py::object ioctx, py::object queue_of);

    py::object read(std::string name, uint64_t length, uint64_t offset);
    py::object readinto(std::string name, py::handle target, uint64_t offset);
    py::object write(std::string name, py::handle data, uint64_t offset);
    py::object write_full(std::string name, py::handle data);
    py::object append(std::string name, py::handle data);
    py::object remove(std::string name);
    py::object stat(std::string name);
    py::object operate_write(topics::WriteOperation& parts, std::string name,
                             const std::optional<std::time_t>& modified, int flags);
    py::object operate_read(topics::ReadOperation& parts, std::string name, int flags);

private:
    CurrentLoop::Here here() { return current_.here(*ioctx_->state()); }
    // Submits an operation by `call(operation, queue)`.
    template <class Made, class Call>
    py::object submit(const CurrentLoop::Here& here, std::unique_ptr<Made> operation,
                      const char* doing, std::string name, const Call& call);

    const py::object owner_;
    const IoCtx* const ioctx_;  // belongs to the owner
    CurrentLoop current_;
};

void bind_object_calls(py::module_& m);

}  // namespace rbdxx::python::rados
