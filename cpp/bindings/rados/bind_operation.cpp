#include <pybind11/stl.h>

#include <rbdxx/rados/constants.hpp>
#include <rbdxx/rados/operation.hpp>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// Defines what both kinds of operation have.
template <class Operation>
void define_life(py::class_<Operation>& cls, const char* flags_doc) {
    define_init(cls, py::init<>(),
                "Make an operation that `create()` or a `with` block makes usable.");
    define(
        cls, "create",
        [](const py::object& self) {
            auto& operation = self.cast<Operation&>();
            without_gil([&] { operation.create(); });
            return self;
        },
        R"(Make the operation usable.

Returns
-------
The operation itself.

Raises
------
InvalidArgumentError
    The operation is usable already.)");
    define(
        cls, "release", [](Operation& self) { without_gil([&] { self.release(); }); },
        R"(Free the operation.

Raises
------
InvalidArgumentError
    The operation was not created, or was released already.)");
    define(
        cls, "_release_if_created",
        [](Operation& self) { without_gil([&] { self.release_if_created(); }); },
        "Free the operation, if it was created and not released.");
    define(
        cls, "set_flags",
        [](Operation& self, const Flags& flags) { without_gil([&] { self.set_flags(flags); }); },
        flags_doc, py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

// Defines a part that takes the bytes of a buffer.
template <class Part>
void with_buffer(const py::object& data, const Part& part) {
    Buffer buffer(data, Buffer::Access::read);
    without_gil([&] { part(buffer.data(), buffer.size()); });
}

void define_data(WriteOpClass& cls) {
    define(
        cls, "write",
        [](topics::WriteOperation& self, const py::object& to_write, const U64& offset) {
            with_buffer(to_write, [&](const char* data, std::size_t size) {
                self.write(data, size, offset);
            });
        },
        R"(Add a write at an offset.

Parameters
----------
to_write
    The data: any buffer. It is copied.
offset
    Where to write, in bytes.

Implements: rados_write_op_write)",
        py::arg("to_write"), py::arg("offset") = 0);
    define(
        cls, "write_full",
        [](topics::WriteOperation& self, const py::object& to_write) {
            with_buffer(to_write,
                        [&](const char* data, std::size_t size) { self.write_full(data, size); });
        },
        R"(Add a write that replaces the object's whole data.

Parameters
----------
to_write
    The data: any buffer. It is copied.

Implements: rados_write_op_write_full)",
        py::arg("to_write"));
    define(
        cls, "append",
        [](topics::WriteOperation& self, const py::object& to_write) {
            with_buffer(to_write,
                        [&](const char* data, std::size_t size) { self.append(data, size); });
        },
        R"(Add a write at the end of the object.

Parameters
----------
to_write
    The data: any buffer. It is copied.

Implements: rados_write_op_append)",
        py::arg("to_write"));
    define(
        cls, "writesame",
        [](topics::WriteOperation& self, const py::object& to_write, const U64& write_len,
           const U64& offset) {
            with_buffer(to_write, [&](const char* data, std::size_t size) {
                self.write_same(data, size, write_len, offset);
            });
        },
        R"(Add a write that repeats data.

Parameters
----------
to_write
    The data: any buffer. It is copied.
write_len
    The number of bytes to write, a multiple of the size of `to_write`.
offset
    Where to write, in bytes.

Implements: rados_write_op_writesame)",
        py::arg("to_write"), py::arg("write_len"), py::arg("offset") = 0);
    define(
        cls, "zero",
        [](topics::WriteOperation& self, const U64& offset, const U64& length) {
            without_gil([&] { self.zero(offset, length); });
        },
        R"(Add a write of zeroes.

Parameters
----------
offset
    Where to write, in bytes.
length
    The number of bytes.

Raises
------
InvalidArgumentError
    `length` is 0. OSDs of some releases crash for it.

Implements: rados_write_op_zero)",
        py::arg("offset"), py::arg("length"));
    define(
        cls, "truncate",
        [](topics::WriteOperation& self, const U64& offset) {
            without_gil([&] { self.truncate(offset); });
        },
        R"(Add a change of the object's size.

Parameters
----------
offset
    The new size, in bytes. Data beyond it is lost; new bytes read as zeroes.

Implements: rados_write_op_truncate)",
        py::arg("offset"));
}

void define_object(WriteOpClass& cls) {
    define(
        cls, "new",
        [](topics::WriteOperation& self, const std::optional<Flags>& exclusive) {
            const int how = exclusive ? exclusive->value : topics::constants::CREATE_IDEMPOTENT;
            without_gil([&] { self.create_object(how); });
        },
        R"(Add the creation of the object.

Parameters
----------
exclusive
    `LIBRADOS_CREATE_EXCLUSIVE` makes the operation fail with `ObjectExists` if the object exists. None
    and `LIBRADOS_CREATE_IDEMPOTENT` do not.

Implements: rados_write_op_create)",
        py::arg("exclusive") = py::none());
    define(
        cls, "remove", [](topics::WriteOperation& self) { without_gil([&] { self.remove(); }); },
        R"(Add the removal of the object.

Implements: rados_write_op_remove)");
    define(
        cls, "assert_version",
        [](topics::WriteOperation& self, const U64& version) {
            without_gil([&] { self.assert_version(version); });
        },
        R"(Make the operation fail unless the object has a version.

Parameters
----------
version
    The version, as `Ioctx.get_last_version` returns it.

Implements: rados_write_op_assert_version)",
        py::arg("version"));
    define(
        cls, "cmpext",
        [](topics::WriteOperation& self, const py::object& cmp_buf, const U64& offset) {
            with_buffer(cmp_buf, [&](const char* data, std::size_t size) {
                self.compare(data, size, offset);
            });
        },
        R"(Make the operation fail with `ExtendMismatch` unless the object holds some data.

Parameters
----------
cmp_buf
    The data: any buffer. It is copied.
offset
    Where the object must hold it, in bytes.

Implements: rados_write_op_cmpext)",
        py::arg("cmp_buf"), py::arg("offset") = 0);
    define(
        cls, "set_xattr",
        [](topics::WriteOperation& self, const Name& xattr_name, const py::object& xattr_value) {
            with_buffer(xattr_value, [&](const char* data, std::size_t size) {
                self.set_xattr(xattr_name, data, size);
            });
        },
        R"(Add the setting of an attribute.

Parameters
----------
xattr_name
    The name of the attribute.
xattr_value
    The value: any buffer. It is copied.

Implements: rados_write_op_setxattr)",
        py::arg("xattr_name"), py::arg("xattr_value"));
    define(
        cls, "rm_xattr",
        [](topics::WriteOperation& self, const Name& xattr_name) {
            without_gil([&] { self.remove_xattr(xattr_name); });
        },
        R"(Add the removal of an attribute.

Parameters
----------
xattr_name
    The name of the attribute.

Implements: rados_write_op_rmxattr)",
        py::arg("xattr_name"));
    define(
        cls, "execute",
        [](topics::WriteOperation& self, const Name& method_class, const Name& method,
           const py::object& data) {
            with_buffer(data, [&](const char* input, std::size_t size) {
                self.execute(method_class, method, input, size);
            });
        },
        R"(Add the execution of a method of an object class that the OSDs have loaded.

Parameters
----------
cls
    The name of the class.
method
    The name of the method.
data
    The method's input: any buffer. It is copied.

Implements: rados_write_op_exec)",
        py::arg("cls"), py::arg("method"), py::arg("data"));
}

void define_calls(IoctxClass& ioctx) {
    define(
        ioctx, "create_write_op",
        [](const IoCtx&) {
            py::object made = py::module_::import("rbd.rados").attr("WriteOp")();
            return made.attr("create")();
        },
        "Return a new WriteOp, created.\n\nImplements: rados_create_write_op");
    define(
        ioctx, "create_read_op",
        [](const IoCtx&) {
            py::object made = py::module_::import("rbd.rados").attr("ReadOp")();
            return made.attr("create")();
        },
        "Return a new ReadOp, created.\n\nImplements: rados_create_read_op");
    define(
        ioctx, "release_write_op",
        [](const IoCtx&, topics::WriteOperation& write_op) {
            without_gil([&] { write_op.release(); });
        },
        R"(Free an operation, as `WriteOp.release` does.

Parameters
----------
write_op
    The operation.

Raises
------
InvalidArgumentError
    The operation was not created, or was released already.

Implements: rados_release_write_op)",
        py::arg("write_op"));
    define(
        ioctx, "release_read_op",
        [](const IoCtx&, topics::ReadOperation& read_op) {
            without_gil([&] { read_op.release(); });
        },
        R"(Free an operation, as `ReadOp.release` does.

Parameters
----------
read_op
    The operation.

Raises
------
InvalidArgumentError
    The operation was not created, or was released already.

Implements: rados_release_read_op)",
        py::arg("read_op"));
    define(
        ioctx, "operate_write_op",
        [](const IoCtx& self, topics::WriteOperation& write_op, const Name& oid, const I64& mtime,
           const Flags& flags) {
            // The stock module uses 0 for the present time too.
            std::optional<std::time_t> modified;
            if (mtime.value != 0) {
                modified = static_cast<std::time_t>(mtime.value);
            }
            without_gil([&] { write_op.operate(self, oid, modified, flags); });
        },
        R"(Perform an operation on an object: all of its parts, or none.

Parameters
----------
write_op
    The operation.
oid
    The name of the object.
mtime
    The time that the object gets, in seconds since 1970; 0 means now.
flags
    `LIBRADOS_OPERATION_*`.

Raises
------
ExtendMismatch
    A `WriteOp.cmpext` found other data, first at the exception's `offset`.
ObjectNotFound
    There is no such object, and a part of the operation needs it.
ObjectExists
    There is such an object, and `WriteOp.new` was to create it.

Examples
--------
>>> with rbd.rados.WriteOpCtx() as update:
...     update.write_full(b"hello")
...     update.set_xattr("language", b"en")
...     ioctx.operate_write_op(update, "greeting")

Implements: rados_write_op_operate)",
        py::arg("write_op"), py::arg("oid"), py::arg("mtime") = 0,
        py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
    define(
        ioctx, "operate_read_op",
        [](const IoCtx& self, topics::ReadOperation& read_op, const Name& oid, const Flags& flag) {
            without_gil([&] { read_op.operate(self, oid, flag); });
        },
        R"(Perform an operation that reads from an object.

Parameters
----------
read_op
    The operation. Its iterators can be read afterwards.
oid
    The name of the object.
flag
    `LIBRADOS_OPERATION_*`.

Raises
------
ObjectNotFound
    There is no such object.
ExtendMismatch
    A `ReadOp.cmpext` found other data, first at the exception's `offset`.

Implements: rados_read_op_operate)",
        py::arg("read_op"), py::arg("oid"),
        py::arg("flag") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

}  // namespace

void bind_operation(WriteOpClass& write_op, ReadOpClass& read_op, IoctxClass& ioctx) {
    define_life(write_op, R"(Set flags of the part that was added last.

Parameters
----------
flags
    `LIBRADOS_OP_FLAG_*`.

Raises
------
InvalidArgumentError
    The operation has no part.

Implements: rados_write_op_set_flags)");
    define_life(read_op, R"(Set flags of the part that was added last.

Parameters
----------
flags
    `LIBRADOS_OP_FLAG_*`.

Raises
------
InvalidArgumentError
    The operation has no part.

Implements: rados_read_op_set_flags)");
    define_object(write_op);
    define_data(write_op);
    define(
        read_op, "cmpext",
        [](topics::ReadOperation& self, const py::object& cmp_buf, const U64& offset) {
            with_buffer(cmp_buf, [&](const char* data, std::size_t size) {
                self.compare(data, size, offset);
            });
        },
        R"(Make the operation fail with `ExtendMismatch` unless the object holds some data.

Parameters
----------
cmp_buf
    The data: any buffer. It is copied.
offset
    Where the object must hold it, in bytes.

Implements: rados_read_op_cmpext)",
        py::arg("cmp_buf"), py::arg("offset") = 0);
    define_calls(ioctx);
}

}  // namespace rbdxx::python::rados
