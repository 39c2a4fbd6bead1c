#include "object_calls.hpp"

#include <rbdxx/error.hpp>
#include <rbdxx/rados/aio.hpp>

#include <utility>

#include "../support/buffer.hpp"
#include "../support/errors.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

namespace aio = topics::aio;

using Queue = engine::QueuePointer;

struct ObjectOperation : LoopOperation {
    ObjectOperation() { never_wait(); }
    // Returns the result for the future of a call that succeeded.
    virtual py::object found() { return py::none(); }
    py::object value() final {
        if (result() < 0) {
            throw RadosError(static_cast<int>(-result()),
                             "error " + std::string(doing) + " " + described());
        }
        return found();
    }
    // The context may have been closed meanwhile.
    std::string described() const {
        try {
            return ioctx->use().state().object(name);
        } catch (const Error&) {
            return "object " + quoted(name);
        }
    }

    const IoCtx* ioctx = nullptr;  // belongs to the owner
    const char* doing = "";
    std::string name;
};

// A call that reads into or writes from one buffer.
struct Transfer final : ObjectOperation {
    py::object found() override {
        if (bytes) {
            return bytes->take(static_cast<uint64_t>(result()));
        }
        return py::int_(reads ? static_cast<uint64_t>(result()) : buffer.size());
    }
    void reset() override {
        bytes.reset();
        buffer.release();
        LoopOperation::reset();
    }
    bool reusable() const override { return true; }

    std::optional<NewBytes> bytes;
    Buffer buffer;
    bool reads = false;
};

struct Removal final : ObjectOperation {};

struct Question final : ObjectOperation {
    py::object found() override {
        return py::make_tuple(status.size,
                              py::module_::import("time").attr("localtime")(status.modified));
    }
    topics::object::Status status;
};

struct Operating final : ObjectOperation {
    py::object found() override {
        operated.succeed();
        return py::none();
    }
    void reset() override {
        without_gil([&] { operated = aio::Operated(); });
        LoopOperation::reset();
    }
    aio::Operated operated;
};

std::unique_ptr<Transfer> transfer(LoopQueue& queue, bool reads) {
    auto made = queue.reused<Transfer>();
    if (!made) {
        made = std::make_unique<Transfer>();
    }
    made->reads = reads;
    return made;
}

}  // namespace

ObjectCalls::ObjectCalls(py::object ioctx, py::object queue_of)
    : owner_(std::move(ioctx)), ioctx_(&context_of(owner_)), current_(std::move(queue_of)) {}

template <class Made, class Call>
py::object ObjectCalls::submit(const CurrentLoop::Here& here, std::unique_ptr<Made> operation,
                               const char* doing, std::string name, const Call& call) {
    operation->ioctx = ioctx_;
    operation->doing = doing;
    operation->name = std::move(name);
    return current_.submit(here, std::move(operation), owner_, [&](Made& made, const Queue& queue) {
        without_gil([&] { call(made, queue); });
    });
}

py::object ObjectCalls::read(std::string name, uint64_t length, uint64_t offset) {
    // No object is that long.
    length = length < topics::object::most_bytes ? length : topics::object::most_bytes;
    auto at = here();
    auto made = transfer(*at.queue, true);
    made->bytes.emplace(length);
    return submit(at, std::move(made), "reading", std::move(name),
                  [&](Transfer& operation, const Queue& queue) {
                      aio::read(operation, queue, *ioctx_, operation.name, operation.bytes->data(),
                                length, offset);
                  });
}

py::object ObjectCalls::readinto(std::string name, py::handle target, uint64_t offset) {
    Buffer buffer(target, Buffer::Access::write);
    auto at = here();
    auto made = transfer(*at.queue, true);
    made->buffer = std::move(buffer);
    return submit(at, std::move(made), "reading", std::move(name),
                  [&](Transfer& operation, const Queue& queue) {
                      aio::read(operation, queue, *ioctx_, operation.name, operation.buffer.data(),
                                operation.buffer.size(), offset);
                  });
}

py::object ObjectCalls::write(std::string name, py::handle data, uint64_t offset) {
    Buffer buffer(data, Buffer::Access::read);
    auto at = here();
    auto made = transfer(*at.queue, false);
    made->buffer = std::move(buffer);
    return submit(at, std::move(made), "writing to", std::move(name),
                  [&](Transfer& operation, const Queue& queue) {
                      aio::write(operation, queue, *ioctx_, operation.name, operation.buffer.data(),
                                 operation.buffer.size(), offset);
                  });
}

py::object ObjectCalls::write_full(std::string name, py::handle data) {
    Buffer buffer(data, Buffer::Access::read);
    auto at = here();
    auto made = transfer(*at.queue, false);
    made->buffer = std::move(buffer);
    return submit(at, std::move(made), "writing", std::move(name),
                  [&](Transfer& operation, const Queue& queue) {
                      aio::write_full(operation, queue, *ioctx_, operation.name,
                                      operation.buffer.data(), operation.buffer.size());
                  });
}

py::object ObjectCalls::append(std::string name, py::handle data) {
    Buffer buffer(data, Buffer::Access::read);
    auto at = here();
    auto made = transfer(*at.queue, false);
    made->buffer = std::move(buffer);
    return submit(at, std::move(made), "appending to", std::move(name),
                  [&](Transfer& operation, const Queue& queue) {
                      aio::append(operation, queue, *ioctx_, operation.name,
                                  operation.buffer.data(), operation.buffer.size());
                  });
}

py::object ObjectCalls::remove(std::string name) {
    return submit(here(), std::make_unique<Removal>(), "removing", std::move(name),
                  [&](Removal& operation, const Queue& queue) {
                      aio::remove(operation, queue, *ioctx_, operation.name);
                  });
}

py::object ObjectCalls::stat(std::string name) {
    return submit(here(), std::make_unique<Question>(), "getting the status of", std::move(name),
                  [&](Question& operation, const Queue& queue) {
                      aio::stat(operation, queue, *ioctx_, operation.name, &operation.status);
                  });
}

py::object ObjectCalls::operate_write(topics::WriteOperation& parts, std::string name,
                                      const std::optional<std::time_t>& modified, int flags) {
    return submit(here(), std::make_unique<Operating>(), "operating on", std::move(name),
                  [&](Operating& operation, const Queue& queue) {
                      aio::operate(operation, queue, *ioctx_, operation.name, parts, modified,
                                   flags, operation.operated);
                  });
}

py::object ObjectCalls::operate_read(topics::ReadOperation& parts, std::string name, int flags) {
    return submit(here(), std::make_unique<Operating>(), "operating on", std::move(name),
                  [&](Operating& operation, const Queue& queue) {
                      aio::operate(operation, queue, *ioctx_, operation.name, parts, flags,
                                   operation.operated);
                  });
}

namespace {

// Plain CPython methods, for the calls that pybind11's dispatch would make noticeably slower.

constexpr fast::Parameters<3> future_read_parameters{"read", {"key", "length", "offset"}, 3};
constexpr fast::Parameters<3> future_readinto_parameters{
    "readinto", {"key", "buffer", "offset"}, 3};
constexpr fast::Parameters<3> future_write_parameters{"write", {"key", "data", "offset"}, 3};
constexpr fast::Parameters<2> future_write_full_parameters{"write_full", {"key", "data"}, 2};

PyObject* read(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
    return fast::with_arguments(
        future_read_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            return fast::value_of<ObjectCalls>(self)
                .read(convert_name(found[0]), fast::number(found[1]), fast::number(found[2]))
                .release()
                .ptr();
        });
}

PyObject* readinto(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                   PyObject* keywords) {
    return fast::with_arguments(
        future_readinto_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            return fast::value_of<ObjectCalls>(self)
                .readinto(convert_name(found[0]), found[1], fast::number(found[2]))
                .release()
                .ptr();
        });
}

PyObject* write(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* keywords) {
    return fast::with_arguments(
        future_write_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            return fast::value_of<ObjectCalls>(self)
                .write(convert_name(found[0]), found[1], fast::number(found[2]))
                .release()
                .ptr();
        });
}

PyObject* write_full(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                     PyObject* keywords) {
    return fast::with_arguments(future_write_full_parameters, arguments, count, keywords,
                                [&](PyObject* const* found) {
                                    return fast::value_of<ObjectCalls>(self)
                                        .write_full(convert_name(found[0]), found[1])
                                        .release()
                                        .ptr();
                                });
}

}  // namespace

// rbd.aio is the only user of these; its own docstrings document them.
void bind_object_calls(py::module_& m) {
    py::class_<ObjectCalls> calls(m, "_ObjectCalls",
                                  "The calls through an I/O context that return asyncio futures.");
    calls.def(py::init<py::object, py::object>());
    static PyMethodDef methods[] = {
        {"read", fast::function(read), fast::with_keywords, ""},
        {"readinto", fast::function(readinto), fast::with_keywords, ""},
        {"write", fast::function(write), fast::with_keywords, ""},
        {"write_full", fast::function(write_full), fast::with_keywords, ""},
    };
    fast::define(calls, methods);
    calls.def("append", [](ObjectCalls& self, const Name& key, const py::object& data) {
        return self.append(key.value, data);
    });
    calls.def("remove", [](ObjectCalls& self, const Name& key) { return self.remove(key.value); });
    calls.def("stat", [](ObjectCalls& self, const Name& key) { return self.stat(key.value); });
    calls.def("operate_write", [](ObjectCalls& self, topics::WriteOperation& write_op,
                                  const Name& oid, const I64& mtime, const Flags& flags) {
        std::optional<std::time_t> modified;
        if (mtime.value != 0) {
            modified = static_cast<std::time_t>(mtime.value);
        }
        return self.operate_write(write_op, oid.value, modified, flags);
    });
    calls.def("operate_read",
              [](ObjectCalls& self, topics::ReadOperation& read_op, const Name& oid,
                 const Flags& flags) { return self.operate_read(read_op, oid.value, flags); });
}

}  // namespace rbdxx::python::rados
