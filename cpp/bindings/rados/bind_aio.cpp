#include <pybind11/stl.h>

#include <rbdxx/rados/aio.hpp>
#include <rbdxx/rados/constants.hpp>

#include <memory>
#include <optional>
#include <utility>

#include "../support/buffer.hpp"
#include "../support/collected.hpp"
#include "../support/define.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"
#include "completion.hpp"
#include "object_calls.hpp"

namespace rbdxx::python::rados {

namespace {

namespace aio = topics::aio;

using Queue = engine::QueuePointer;

constexpr uint64_t usual_output = 8192;

// What a call read, or None.
py::object bytes_or_none(NewBytes& bytes, ssize_t result) {
    return result < 0 ? py::object(py::none()) : bytes.take(static_cast<uint64_t>(result));
}

struct ReadCompletion final : Completion {
    explicit ReadCompletion(uint64_t size) : bytes(size) {}
    py::object extras() override { return py::make_tuple(bytes_or_none(bytes, result())); }
    NewBytes bytes;
};

struct WriteCompletion final : Completion {
    explicit WriteCompletion(py::handle data) : buffer(data, Buffer::Access::read) {}
    void release() override { buffer.release(); }
    Buffer buffer;
};

struct StatCompletion final : Completion {
    py::object extras() override {
        if (result() < 0) {
            return py::make_tuple(py::none(), py::none());
        }
        return py::make_tuple(status.size,
                              py::module_::import("time").attr("localtime")(status.modified));
    }
    topics::object::Status status;
};

struct ExecuteCompletion final : Completion {
    ExecuteCompletion(py::handle data, uint64_t size)
        : input(data, Buffer::Access::read), output(size) {}
    py::object extras() override {
        return py::make_tuple(answer() < 0 ? py::object(py::none()) : output.take(execution.used));
    }
    ssize_t answer() const override { return execution.result(result()); }
    void release() override { input.release(); }
    Buffer input;
    NewBytes output;
    aio::Execution execution;
};

struct OperateCompletion final : Completion {
    void deliver() noexcept override {
        if (result() >= 0) {
            operated.succeed();
        }
        Completion::deliver();
    }
    void release() override {
        without_gil([&] { operated = aio::Operated(); });
    }
    aio::Operated operated;
};

py::object borrowed(PyObject* object) {
    return py::reinterpret_borrow<py::object>(object);
}

py::object borrowed_or_none(PyObject* object) {
    return object != nullptr ? borrowed(object) : py::object(py::none());
}

// The calls whose cost would be the binding's: plain CPython methods.

constexpr fast::Parameters<4> read_parameters{
    "aio_read", {"object_name", "length", "offset", "oncomplete"}, 3};
constexpr fast::Parameters<5> write_parameters{
    "aio_write", {"object_name", "to_write", "offset", "oncomplete", "onsafe"}, 2};
constexpr fast::Parameters<4> write_full_parameters{
    "aio_write_full", {"object_name", "to_write", "oncomplete", "onsafe"}, 2};
constexpr fast::Parameters<4> append_parameters{
    "aio_append", {"object_name", "to_append", "oncomplete", "onsafe"}, 2};

PyObject* aio_read(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                   PyObject* keywords) {
    return fast::with_arguments(
        read_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const std::string name = convert_name(found[0]);
            uint64_t length = fast::number(found[1]);
            const uint64_t offset = fast::number(found[2]);
            // No object is as long.
            length = length < topics::object::most_bytes ? length : topics::object::most_bytes;
            return submit(std::make_unique<ReadCompletion>(length), borrowed(self),
                          borrowed_or_none(found[3]), py::none(),
                          [&](ReadCompletion& made, Queue queue, const IoCtx& ioctx) {
                              aio::read(made, std::move(queue), ioctx, name, made.bytes.data(),
                                        length, offset);
                          })
                .release()
                .ptr();
        });
}

PyObject* aio_write(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                    PyObject* keywords) {
    return fast::with_arguments(
        write_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const std::string name = convert_name(found[0]);
            const uint64_t offset = fast::number_or(found[2], 0);
            return submit(std::make_unique<WriteCompletion>(found[1]), borrowed(self),
                          borrowed_or_none(found[3]), borrowed_or_none(found[4]),
                          [&](WriteCompletion& made, Queue queue, const IoCtx& ioctx) {
                              aio::write(made, std::move(queue), ioctx, name, made.buffer.data(),
                                         made.buffer.size(), offset);
                          })
                .release()
                .ptr();
        });
}

PyObject* aio_write_full(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* keywords) {
    return fast::with_arguments(
        write_full_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const std::string name = convert_name(found[0]);
            return submit(std::make_unique<WriteCompletion>(found[1]), borrowed(self),
                          borrowed_or_none(found[2]), borrowed_or_none(found[3]),
                          [&](WriteCompletion& made, Queue queue, const IoCtx& ioctx) {
                              aio::write_full(made, std::move(queue), ioctx, name,
                                              made.buffer.data(), made.buffer.size());
                          })
                .release()
                .ptr();
        });
}

PyObject* aio_append(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                     PyObject* keywords) {
    return fast::with_arguments(
        append_parameters, arguments, count, keywords, [&](PyObject* const* found) {
            const std::string name = convert_name(found[0]);
            return submit(std::make_unique<WriteCompletion>(found[1]), borrowed(self),
                          borrowed_or_none(found[2]), borrowed_or_none(found[3]),
                          [&](WriteCompletion& made, Queue queue, const IoCtx& ioctx) {
                              aio::append(made, std::move(queue), ioctx, name, made.buffer.data(),
                                          made.buffer.size());
                          })
                .release()
                .ptr();
        });
}

// What the docstrings of all of them say.
#define RBDXX_CALLBACKS                                                                            \
    "    Called as oncomplete(completion) in the thread of callbacks, when the call is complete. " \
    "What it raises\n    reaches wait_for_complete_and_cb.\n"                                      \
    "onsafe : callable, optional\n    Likewise, after oncomplete.\n\n"                             \
    "Returns\n-------\nCompletion\n\n"

void define_fast(IoctxClass& ioctx) {
    static PyMethodDef methods[] = {
        {"aio_read", fast::function(aio_read), fast::with_keywords,
         "aio_read($self, object_name, length, offset, oncomplete=None)\n--\n\n"
         "Submit a read of up to `length` bytes of an object from `offset`.\n\n"
         "Parameters\n----------\n"
         "object_name : str\n"
         "length, offset : int\n    In bytes.\n"
         "oncomplete : callable, optional\n"
         "    Called as oncomplete(completion, data) in the thread of callbacks, with bytes, fewer "
         "at the end of the\n    object, or with None if the read failed: the completion's return "
         "value tells why.\n\n"
         "Returns\n-------\nCompletion\n\n"
         "Implements: rados_aio_read"},
        {"aio_write", fast::function(aio_write), fast::with_keywords,
         "aio_write($self, object_name, to_write, offset=0, oncomplete=None, onsafe=None)\n--\n\n"
         "Submit a write of a C-contiguous buffer to an object, at `offset`.\n\n"
         "The buffer must not change until the call is complete.\n\n"
         "Parameters\n----------\n"
         "object_name : str\n"
         "to_write : buffer\n"
         "offset : int\n    In bytes.\n"
         "oncomplete : callable, optional\n" RBDXX_CALLBACKS "Implements: rados_aio_write"},
        {"aio_write_full", fast::function(aio_write_full), fast::with_keywords,
         "aio_write_full($self, object_name, to_write, oncomplete=None, onsafe=None)\n--\n\n"
         "Submit the replacement of an object's whole content by a C-contiguous buffer.\n\n"
         "The buffer must not change until the call is complete.\n\n"
         "Parameters\n----------\n"
         "object_name : str\n"
         "to_write : buffer\n"
         "oncomplete : callable, optional\n" RBDXX_CALLBACKS "Implements: rados_aio_write_full"},
        {"aio_append", fast::function(aio_append), fast::with_keywords,
         "aio_append($self, object_name, to_append, oncomplete=None, onsafe=None)\n--\n\n"
         "Submit a write of a C-contiguous buffer after an object's end.\n\n"
         "The buffer must not change until the call is complete.\n\n"
         "Parameters\n----------\n"
         "object_name : str\n"
         "to_append : buffer\n"
         "oncomplete : callable, optional\n" RBDXX_CALLBACKS "Implements: rados_aio_append"},
    };
    fast::define(ioctx, methods);
}

void define_calls(IoctxClass& ioctx) {
    define(
        ioctx, "aio_writesame",
        [](const py::object& self, const Name& object_name, const py::object& to_write,
           const U64& write_len, const U64& offset, const py::object& oncomplete) {
            return submit(std::make_unique<WriteCompletion>(to_write), self, oncomplete, py::none(),
                          [&](WriteCompletion& made, Queue queue, const IoCtx& on) {
                              aio::write_same(made, std::move(queue), on, object_name,
                                              made.buffer.data(), made.buffer.size(), write_len,
                                              offset);
                          });
        },
        "Submit a write that repeats a buffer over `write_len` bytes from `offset`.\n\n"
        "Parameters\n----------\n"
        "object_name : str\n"
        "to_write : buffer\n"
        "write_len : int\n    In bytes; a multiple of the buffer's size.\n"
        "offset : int\n    In bytes.\n"
        "oncomplete : callable, optional\n    As of aio_write.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Raises\n------\nInvalidArgumentError\n    If write_len is not a multiple.\n\n"
        "Implements: rados_aio_writesame",
        py::arg("object_name"), py::arg("to_write"), py::arg("write_len"), py::arg("offset") = 0,
        py::arg("oncomplete") = py::none());
    define(
        ioctx, "aio_remove",
        [](const py::object& self, const Name& object_name, const py::object& oncomplete,
           const py::object& onsafe) {
            return submit(std::make_unique<Completion>(), self, oncomplete, onsafe,
                          [&](Completion& made, Queue queue, const IoCtx& on) {
                              aio::remove(made, std::move(queue), on, object_name);
                          });
        },
        "Submit the removal of an object.\n\n"
        "Parameters\n----------\n"
        "object_name : str\n"
        "oncomplete : callable, optional\n" RBDXX_CALLBACKS "Implements: rados_aio_remove",
        py::arg("object_name"), py::arg("oncomplete") = py::none(), py::arg("onsafe") = py::none());
    define(
        ioctx, "aio_stat",
        [](const py::object& self, const Name& object_name, const py::object& oncomplete) {
            return submit(std::make_unique<StatCompletion>(), self, oncomplete, py::none(),
                          [&](StatCompletion& made, Queue queue, const IoCtx& on) {
                              aio::stat(made, std::move(queue), on, object_name, &made.status);
                          });
        },
        "Submit a question for an object's size and for when it was modified.\n\n"
        "Parameters\n----------\n"
        "object_name : str\n"
        "oncomplete : callable or None\n"
        "    Called as oncomplete(completion, size, mtime) in the thread of callbacks: in bytes, "
        "and as\n    time.localtime() does. Both are None if the call failed.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Implements: rados_aio_stat",
        py::arg("object_name"), py::arg("oncomplete"));
    define(
        ioctx, "aio_cmpext",
        [](const py::object& self, const Name& object_name, const py::object& cmp_buf,
           const U64& offset, const py::object& oncomplete) {
            return submit(std::make_unique<WriteCompletion>(cmp_buf), self, oncomplete, py::none(),
                          [&](WriteCompletion& made, Queue queue, const IoCtx& on) {
                              aio::compare(made, std::move(queue), on, object_name,
                                           made.buffer.data(), made.buffer.size(), offset);
                          });
        },
        "Submit a comparison of an object's bytes from `offset` with those of a buffer.\n\n"
        "The completion's return value is 0 if they are equal, else -4095 less the offset in the "
        "buffer of the\nfirst difference.\n\n"
        "Parameters\n----------\n"
        "object_name : str\n"
        "cmp_buf : buffer\n"
        "offset : int\n    In bytes.\n"
        "oncomplete : callable, optional\n    As of aio_write.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Implements: rados_aio_cmpext",
        py::arg("object_name"), py::arg("cmp_buf"), py::arg("offset") = 0,
        py::arg("oncomplete") = py::none());
    define(
        ioctx, "aio_setxattr",
        [](const py::object& self, const Name& object_name, const Name& xattr_name,
           const py::object& xattr_value, const py::object& oncomplete) {
            return submit(std::make_unique<WriteCompletion>(xattr_value), self, oncomplete,
                          py::none(), [&](WriteCompletion& made, Queue queue, const IoCtx& on) {
                              aio::set_xattr(made, std::move(queue), on, object_name, xattr_name,
                                             made.buffer.data(), made.buffer.size());
                          });
        },
        "Submit the setting of an extended attribute to the bytes of a buffer.\n\n"
        "Parameters\n----------\n"
        "object_name, xattr_name : str\n"
        "xattr_value : buffer\n"
        "oncomplete : callable, optional\n    As of aio_write.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Implements: rados_aio_setxattr",
        py::arg("object_name"), py::arg("xattr_name"), py::arg("xattr_value"),
        py::arg("oncomplete") = py::none());
    define(
        ioctx, "aio_rmxattr",
        [](const py::object& self, const Name& object_name, const Name& xattr_name,
           const py::object& oncomplete) {
            return submit(std::make_unique<Completion>(), self, oncomplete, py::none(),
                          [&](Completion& made, Queue queue, const IoCtx& on) {
                              aio::remove_xattr(made, std::move(queue), on, object_name,
                                                xattr_name);
                          });
        },
        "Submit the removal of an extended attribute.\n\n"
        "Parameters\n----------\n"
        "object_name, xattr_name : str\n"
        "oncomplete : callable, optional\n    As of aio_write.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Implements: rados_aio_rmxattr",
        py::arg("object_name"), py::arg("xattr_name"), py::arg("oncomplete") = py::none());
    define(
        ioctx, "aio_execute",
        [](const py::object& self, const Name& object_name, const Name& object_class,
           const Name& method, const py::object& data, const U64& length,
           const py::object& oncomplete, const py::object& onsafe) {
            return submit(std::make_unique<ExecuteCompletion>(data, length), self, oncomplete,
                          onsafe, [&](ExecuteCompletion& made, Queue queue, const IoCtx& on) {
                              aio::execute(made, std::move(queue), on, object_name, object_class,
                                           method, made.input.data(), made.input.size(),
                                           made.output.data(), length, made.execution);
                          });
        },
        "Submit the execution of a method of an object class, which the OSDs have loaded.\n\n"
        "The completion's return value is the number of bytes that the method gave; -ERANGE if "
        "`length` has no\nroom for them.\n\n"
        "Parameters\n----------\n"
        "object_name, cls, method : str\n"
        "data : buffer\n    Input of the method.\n"
        "length : int\n    Room for its output, in bytes.\n"
        "oncomplete : callable, optional\n"
        "    Called as oncomplete(completion, output) in the thread of callbacks, with bytes, or "
        "with None if the\n    method failed.\n"
        "onsafe : callable, optional\n    Likewise, after oncomplete.\n\n"
        "Returns\n-------\nCompletion\n\n"
        "Implements: rados_read_op_exec_user_buf, rados_aio_read_op_operate",
        py::arg("object_name"), py::arg("cls"), py::arg("method"), py::arg("data"),
        py::arg("length") = usual_output, py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none());
    define(
        ioctx, "aio_flush", [](const IoCtx& self) { without_gil([&] { aio::flush(self); }); },
        "Wait until every write submitted through this context is complete; its callbacks may "
        "still be running.\n\nImplements: rados_aio_flush_async");
}

void define_operate(IoctxClass& ioctx) {
    define(
        ioctx, "operate_aio_write_op",
        [](const py::object& self, const topics::WriteOperation& write_op, const Name& oid,
           const py::object& oncomplete, const py::object& onsafe, const I64& mtime,
           const Flags& flags) {
            // The stock module's 0 stands for the present too.
            std::optional<std::time_t> modified;
            if (mtime.value != 0) {
                modified = static_cast<std::time_t>(mtime.value);
            }
            return submit(std::make_unique<OperateCompletion>(), self, oncomplete, onsafe,
                          [&](OperateCompletion& made, Queue queue, const IoCtx& on) {
                              aio::operate(made, std::move(queue), on, oid, write_op, modified,
                                           flags, made.operated);
                          });
        },
        "Submit an operation, whose parts all take effect on an object, or none.\n\n"
        "Parameters\n----------\n"
        "write_op : WriteOp\n"
        "oid : str\n    The object's name.\n"
        "oncomplete : callable, optional\n" RBDXX_CALLBACKS
        "Other Parameters\n----------------\n"
        "mtime : int\n    When the object is to be modified, in seconds since 1970; 0 for now.\n"
        "flags : int\n    LIBRADOS_OPERATION_*.\n\n"
        "Implements: rados_aio_write_op_operate",
        py::arg("write_op"), py::arg("oid"), py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none(), py::arg("mtime") = 0,
        py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
    define(
        ioctx, "operate_aio_read_op",
        [](const py::object& self, const topics::ReadOperation& read_op, const Name& oid,
           const py::object& oncomplete, const py::object& onsafe, const Flags& flag) {
            return submit(std::make_unique<OperateCompletion>(), self, oncomplete, onsafe,
                          [&](OperateCompletion& made, Queue queue, const IoCtx& on) {
                              aio::operate(made, std::move(queue), on, oid, read_op, flag,
                                           made.operated);
                          });
        },
        "Submit an operation that reads. Its iterators can be read in its callbacks.\n\n"
        "Parameters\n----------\n"
        "read_op : ReadOp\n"
        "oid : str\n    The object's name.\n"
        "oncomplete : callable, optional\n" RBDXX_CALLBACKS
        "Other Parameters\n----------------\n"
        "flag : int\n    LIBRADOS_OPERATION_*.\n\n"
        "Implements: rados_aio_read_op_operate",
        py::arg("read_op"), py::arg("oid"), py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none(),
        py::arg("flag") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

#undef RBDXX_CALLBACKS

// The context's calls under way that have a callback of that name.
py::list completions_with(const py::object& ioctx,
                          const py::object& (Completion::*callback)() const noexcept) {
    py::list found;
    py::list all = checked(PySequence_List(in_flight_of(ioctx).ptr()));
    for (py::handle one : all) {
        if (!(one.cast<const Completion&>().*callback)().is_none()) {
            found.append(one);
        }
    }
    return found;
}

void define_waits(py::class_<Completion>& completion) {
    auto wait = [](Completion& self) { self.wait_complete(); };
    auto wait_and_raise = [](Completion& self) {
        self.wait_and_raise();
        return 0;
    };
    define(completion, "wait_for_complete", wait,
           "Wait until the call is complete; its callbacks may still be running.");
    define(completion, "wait_for_safe", wait, "The same as wait_for_complete.");
    define(completion, "wait_for_complete_and_cb", wait_and_raise,
           "Wait until the call is complete and its callbacks have run. Returns 0.\n\n"
           "Raises what a callback raised. Inside a callback, runs the callbacks of other calls "
           "meanwhile.");
    define(completion, "wait_for_safe_and_cb", wait_and_raise,
           "The same as wait_for_complete_and_cb.");
}

}  // namespace

void bind_aio(py::module_& m, IoctxClass& ioctx) {
    py::class_<Completion> completion(
        m, "Completion", "An asynchronous call under way, as the aio_* methods of Ioctx return it.",
        collected<Completion>());
    define_init(completion,
                py::init([](const py::object& context, const py::object& oncomplete,
                            const py::object& onsafe) {
                    // TypeError for anything else.
                    py::cast<const IoCtx&>(context);
                    auto made = std::make_unique<Completion>();
                    made->set(context, oncomplete, onsafe);
                    return made;
                }),
                "A completion that belongs to no call; the aio_* methods return others.",
                py::arg("ioctx"), py::arg("oncomplete") = py::none(),
                py::arg("onsafe") = py::none());
    completion.def_property_readonly(
        "ioctx", [](const Completion& self) { return self.ioctx(); }, "The context of the call.");
    completion.def_property_readonly(
        "oncomplete", [](const Completion& self) { return self.oncomplete(); },
        "What is called when the call is complete, or None.");
    completion.def_property_readonly(
        "onsafe", [](const Completion& self) { return self.onsafe(); },
        "What is called after oncomplete, or None.");
    auto is_complete = [](const Completion& self) { return self.is_complete(); };
    define(completion, "is_complete", is_complete,
           "Return whether the call is complete; its callbacks may still be running.");
    define(completion, "is_safe", is_complete, "The same as is_complete.");
    define(
        completion, "get_return_value", [](const Completion& self) { return self.return_value(); },
        "Return what the call returned: bytes read, 0, or a negative error number; 0 while it is "
        "under way.\n\nImplements: rados_aio_get_return_value");
    define_waits(completion);

    define_fast(ioctx);
    define_calls(ioctx);
    define_operate(ioctx);
    ioctx.def_property_readonly(
        "complete_completions",
        [](const py::object& self) { return completions_with(self, &Completion::oncomplete); },
        "The completions of calls under way that have an oncomplete, as a list.");
    ioctx.def_property_readonly(
        "safe_completions",
        [](const py::object& self) { return completions_with(self, &Completion::onsafe); },
        "The completions of calls under way that have an onsafe, as a list.");
    bind_object_calls(m);
}

}  // namespace rbdxx::python::rados
