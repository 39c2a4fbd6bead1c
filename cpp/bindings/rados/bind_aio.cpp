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

// Returns the bytes that a call read, or None.
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

// Plain CPython methods, for the calls that pybind11's dispatch would make noticeably slower.

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
            // No object is that long.
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

void define_fast(IoctxClass& ioctx) {
    static PyMethodDef methods[] = {
        {"aio_read", fast::function(aio_read), fast::with_keywords,
         R"(aio_read($self, object_name, length, offset, oncomplete=None)
--

Submit a read from an object.

Parameters
----------
object_name
    The name of the object.
length
    The number of bytes to read at most.
offset
    Where to begin, in bytes.
oncomplete
    Called as `oncomplete(completion, data)` in the thread of callbacks, once the call has completed.
    `data` is bytes, fewer than `length` at the end of the object, or None if the read has failed.

Returns
-------
The completion. Its `get_return_value` is the number of bytes, or a negative error number.

Examples
--------
>>> received = []
>>> done = ioctx.aio_read("greeting", 5, 0, lambda completion, data: received.append(data))
>>> done.wait_for_complete_and_cb()
0
>>> received
[b'hello']

Implements: rados_aio_read)"},
        {"aio_write", fast::function(aio_write), fast::with_keywords,
         R"(aio_write($self, object_name, to_write, offset=0, oncomplete=None, onsafe=None)
--

Submit a write to an object, and create the object if it does not exist.

Parameters
----------
object_name
    The name of the object.
to_write
    The data: any C-contiguous buffer. It must not change until the call has completed.
offset
    Where to write, in bytes.
oncomplete
    Called as `oncomplete(completion)` in the thread of callbacks, once the call has completed.
    `Completion.wait_for_complete_and_cb` raises what it raises.
onsafe
    Called likewise, after `oncomplete`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Examples
--------
>>> done = ioctx.aio_write("greeting", b"Hello", 0)
>>> done.wait_for_complete()
>>> done.get_return_value()
0

Implements: rados_aio_write)"},
        {"aio_write_full", fast::function(aio_write_full), fast::with_keywords,
         R"(aio_write_full($self, object_name, to_write, oncomplete=None, onsafe=None)
--

Submit a write that replaces the whole data of an object.

Parameters
----------
object_name
    The name of the object.
to_write
    The data: any C-contiguous buffer. It must not change until the call has completed.
oncomplete, onsafe
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_write_full)"},
        {"aio_append", fast::function(aio_append), fast::with_keywords,
         R"(aio_append($self, object_name, to_append, oncomplete=None, onsafe=None)
--

Submit a write at the end of an object.

Parameters
----------
object_name
    The name of the object.
to_append
    The data: any C-contiguous buffer. It must not change until the call has completed.
oncomplete, onsafe
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_append)"},
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
        R"(Submit a write that repeats data over a part of an object.

Parameters
----------
object_name
    The name of the object.
to_write
    The data: any C-contiguous buffer. It must not change until the call has completed.
write_len
    The number of bytes to write, a multiple of the size of `to_write`.
offset
    Where to write, in bytes.
oncomplete
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Raises
------
InvalidArgumentError
    `write_len` is not a multiple of the size of `to_write`.

Implements: rados_aio_writesame)",
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
        R"(Submit the removal of an object.

Parameters
----------
object_name
    The name of the object.
oncomplete, onsafe
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_remove)",
        py::arg("object_name"), py::arg("oncomplete") = py::none(), py::arg("onsafe") = py::none());
    define(
        ioctx, "aio_stat",
        [](const py::object& self, const Name& object_name, const py::object& oncomplete) {
            return submit(std::make_unique<StatCompletion>(), self, oncomplete, py::none(),
                          [&](StatCompletion& made, Queue queue, const IoCtx& on) {
                              aio::stat(made, std::move(queue), on, object_name, &made.status);
                          });
        },
        R"(Submit a request for the size and the time of an object.

Parameters
----------
object_name
    The name of the object.
oncomplete
    Called as `oncomplete(completion, size, mtime)` in the thread of callbacks, once the call has
    completed. `size` is in bytes, `mtime` is a time as `time.localtime` returns it. Both are None if
    the call has failed.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_stat)",
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
        R"(Submit a comparison of a part of an object with data.

Parameters
----------
object_name
    The name of the object.
cmp_buf
    The data: any C-contiguous buffer. It must not change until the call has completed.
offset
    Where the part begins, in bytes.
oncomplete
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0 if the data is equal, or -4095 minus the offset of the
first difference in `cmp_buf`, or a negative error number.

Implements: rados_aio_cmpext)",
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
        R"(Submit the setting of an attribute of an object.

Parameters
----------
object_name
    The name of the object.
xattr_name
    The name of the attribute.
xattr_value
    The value: any C-contiguous buffer. It must not change until the call has completed.
oncomplete
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_setxattr)",
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
        R"(Submit the removal of an attribute of an object.

Parameters
----------
object_name
    The name of the object.
xattr_name
    The name of the attribute.
oncomplete
    As in `aio_write`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_rmxattr)",
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
        R"(Submit the execution of a method of an object class that the OSDs have loaded.

Parameters
----------
object_name
    The name of the object.
cls
    The name of the class.
method
    The name of the method.
data
    The method's input: any C-contiguous buffer. It must not change until the call has completed.
length
    The most bytes of output.
oncomplete
    Called as `oncomplete(completion, output)` in the thread of callbacks, once the call has
    completed. `output` is bytes, or None if the method has failed.
onsafe
    Called likewise, after `oncomplete`.

Returns
-------
The completion. Its `get_return_value` is the number of bytes of output, or a negative error number:
-ERANGE if there are more than `length`.

Implements: rados_read_op_exec_user_buf, rados_aio_read_op_operate)",
        py::arg("object_name"), py::arg("cls"), py::arg("method"), py::arg("data"),
        py::arg("length") = usual_output, py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none());
    define(
        ioctx, "aio_flush", [](const IoCtx& self) { without_gil([&] { aio::flush(self); }); },
        R"(Wait until every write that was submitted through this context has completed.

Notes
-----
The callbacks of the writes may still be running.

Implements: rados_aio_flush_async)");
}

void define_operate(IoctxClass& ioctx) {
    define(
        ioctx, "operate_aio_write_op",
        [](const py::object& self, topics::WriteOperation& write_op, const Name& oid,
           const py::object& oncomplete, const py::object& onsafe, const I64& mtime,
           const Flags& flags) {
            // The stock module uses 0 for the present time too.
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
        R"(Submit an operation, whose parts all take effect on an object, or none.

Parameters
----------
write_op
    The operation.
oid
    The name of the object.
oncomplete, onsafe
    As in `aio_write`.
mtime
    The time that the object gets, in seconds since 1970; 0 means now.
flags
    `LIBRADOS_OPERATION_*`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_write_op_operate)",
        py::arg("write_op"), py::arg("oid"), py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none(), py::arg("mtime") = 0,
        py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
    define(
        ioctx, "operate_aio_read_op",
        [](const py::object& self, topics::ReadOperation& read_op, const Name& oid,
           const py::object& oncomplete, const py::object& onsafe, const Flags& flag) {
            return submit(std::make_unique<OperateCompletion>(), self, oncomplete, onsafe,
                          [&](OperateCompletion& made, Queue queue, const IoCtx& on) {
                              aio::operate(made, std::move(queue), on, oid, read_op, flag,
                                           made.operated);
                          });
        },
        R"(Submit an operation that reads from an object.

Parameters
----------
read_op
    The operation. Its iterators can be read once the call has completed, in its callbacks too.
oid
    The name of the object.
oncomplete, onsafe
    As in `aio_write`.
flag
    `LIBRADOS_OPERATION_*`.

Returns
-------
The completion. Its `get_return_value` is 0, or a negative error number.

Implements: rados_aio_read_op_operate)",
        py::arg("read_op"), py::arg("oid"), py::arg("oncomplete") = py::none(),
        py::arg("onsafe") = py::none(),
        py::arg("flag") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

// Returns the context's calls under way that have that callback.
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
           R"(Wait until the call has completed. Its callbacks may still be running.)");
    define(completion, "wait_for_safe", wait, R"(Wait as `wait_for_complete` does.)");
    define(completion, "wait_for_complete_and_cb", wait_and_raise,
           R"(Wait until the call has completed and its callbacks have returned.

Returns
-------
0.

Raises
------
Exception
    What a callback has raised.

Notes
-----
Inside a callback, it runs the callbacks of other calls while it waits.)");
    define(completion, "wait_for_safe_and_cb", wait_and_raise,
           R"(Wait as `wait_for_complete_and_cb` does.)");
}

}  // namespace

void bind_aio(py::module_& m, IoctxClass& ioctx) {
    py::class_<Completion> completion(
        m, "Completion", "An asynchronous call, as the `aio_*` methods of `Ioctx` return it.",
        collected<Completion>());
    define_init(completion,
                py::init([](const py::object& context, const py::object& oncomplete,
                            const py::object& onsafe) {
                    context_of(context);  // raises TypeError for anything else
                    auto made = std::make_unique<Completion>();
                    made->set(context, oncomplete, onsafe);
                    return made;
                }),
                "Make a completion without a call. The `aio_*` methods return those with one.",
                py::arg("ioctx"), py::arg("oncomplete") = py::none(),
                py::arg("onsafe") = py::none());
    completion.def_property_readonly(
        "ioctx", [](const Completion& self) { return self.ioctx(); }, "The context of the call.");
    completion.def_property_readonly(
        "oncomplete", [](const Completion& self) { return self.oncomplete(); },
        "The function that is called once the call has completed, or None.");
    completion.def_property_readonly(
        "onsafe", [](const Completion& self) { return self.onsafe(); },
        "The function that is called after oncomplete, or None.");
    auto is_complete = [](const Completion& self) { return self.is_complete(); };
    define(completion, "is_complete", is_complete,
           "Return whether the call has completed. Its callbacks may still be running.");
    define(completion, "is_safe", is_complete, "Return the same as `is_complete`.");
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
        "A list of the completions of calls under way that have an oncomplete.");
    ioctx.def_property_readonly(
        "safe_completions",
        [](const py::object& self) { return completions_with(self, &Completion::onsafe); },
        "A list of the completions of calls under way that have an onsafe.");
    bind_object_calls(m);
}

}  // namespace rbdxx::python::rados
