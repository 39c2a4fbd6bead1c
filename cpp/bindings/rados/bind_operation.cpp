#include <pybind11/stl.h>

#include <rbdxx/rados/constants.hpp>
#include <rbdxx/rados/operation.hpp>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// What both kinds of operation have.
template <class Operation>
void define_life(py::class_<Operation>& cls, const char* flags_doc) {
    define_init(cls, py::init<>(), "create() or a `with` block makes it usable.");
    define(
        cls, "create",
        [](const py::object& self) {
            auto& operation = self.cast<Operation&>();
            without_gil([&] { operation.create(); });
            return self;
        },
        "Make the operation usable, and return it.\n\n"
        "Raises InvalidArgumentError if that was done already.");
    define(
        cls, "release", [](Operation& self) { without_gil([&] { self.release(); }); },
        "Give the operation up.\n\n"
        "Raises InvalidArgumentError if it was never created, or is released already.");
    define(
        cls, "_release_if_created",
        [](Operation& self) { without_gil([&] { self.release_if_created(); }); },
        "Give the operation up, if there is one.");
    define(
        cls, "set_flags",
        [](Operation& self, const Flags& flags) { without_gil([&] { self.set_flags(flags); }); },
        flags_doc, py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

// A part that takes the bytes of a buffer.
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
        "Write the bytes of a buffer at `offset`.\n\nImplements: rados_write_op_write",
        py::arg("to_write"), py::arg("offset") = 0);
    define(
        cls, "write_full",
        [](topics::WriteOperation& self, const py::object& to_write) {
            with_buffer(to_write,
                        [&](const char* data, std::size_t size) { self.write_full(data, size); });
        },
        "Replace the object's whole content by the bytes of a buffer.\n\n"
        "Implements: rados_write_op_write_full",
        py::arg("to_write"));
    define(
        cls, "append",
        [](topics::WriteOperation& self, const py::object& to_write) {
            with_buffer(to_write,
                        [&](const char* data, std::size_t size) { self.append(data, size); });
        },
        "Write the bytes of a buffer after the object's end.\n\n"
        "Implements: rados_write_op_append",
        py::arg("to_write"));
    define(
        cls, "writesame",
        [](topics::WriteOperation& self, const py::object& to_write, const U64& write_len,
           const U64& offset) {
            with_buffer(to_write, [&](const char* data, std::size_t size) {
                self.write_same(data, size, write_len, offset);
            });
        },
        "Repeat the bytes of a buffer over `write_len` bytes from `offset`.\n\n"
        "Implements: rados_write_op_writesame",
        py::arg("to_write"), py::arg("write_len"), py::arg("offset") = 0);
    define(
        cls, "zero",
        [](topics::WriteOperation& self, const U64& offset, const U64& length) {
            without_gil([&] { self.zero(offset, length); });
        },
        "Write zeroes over `length` bytes from `offset`.\n\n"
        "Raises InvalidArgumentError for a length of 0, with which OSDs of some releases end.\n\n"
        "Implements: rados_write_op_zero",
        py::arg("offset"), py::arg("length"));
    define(
        cls, "truncate",
        [](topics::WriteOperation& self, const U64& offset) {
            without_gil([&] { self.truncate(offset); });
        },
        "Cut the object at `offset`, or have it grow to there.\n\n"
        "Implements: rados_write_op_truncate",
        py::arg("offset"));
}

void define_object(WriteOpClass& cls) {
    define(
        cls, "new",
        [](topics::WriteOperation& self, const std::optional<Flags>& exclusive) {
            const int how = exclusive ? exclusive->value : topics::constants::CREATE_IDEMPOTENT;
            without_gil([&] { self.create_object(how); });
        },
        "Make the object.\n\n"
        "exclusive: LIBRADOS_CREATE_EXCLUSIVE has the operation fail (ObjectExists) if it is there "
        "already;\nNone or LIBRADOS_CREATE_IDEMPOTENT not.\n\nImplements: rados_write_op_create",
        py::arg("exclusive") = py::none());
    define(
        cls, "remove", [](topics::WriteOperation& self) { without_gil([&] { self.remove(); }); },
        "Remove the object.\n\nImplements: rados_write_op_remove");
    define(
        cls, "assert_version",
        [](topics::WriteOperation& self, const U64& version) {
            without_gil([&] { self.assert_version(version); });
        },
        "Have the operation fail unless the object has this version.\n\n"
        "Implements: rados_write_op_assert_version",
        py::arg("version"));
    define(
        cls, "cmpext",
        [](topics::WriteOperation& self, const py::object& cmp_buf, const U64& offset) {
            with_buffer(cmp_buf, [&](const char* data, std::size_t size) {
                self.compare(data, size, offset);
            });
        },
        "Have the operation fail (ExtendMismatch) unless the object holds these bytes at "
        "`offset`.\n\nImplements: rados_write_op_cmpext",
        py::arg("cmp_buf"), py::arg("offset") = 0);
    define(
        cls, "set_xattr",
        [](topics::WriteOperation& self, const Name& xattr_name, const py::object& xattr_value) {
            with_buffer(xattr_value, [&](const char* data, std::size_t size) {
                self.set_xattr(xattr_name, data, size);
            });
        },
        "Set an attribute to the bytes of a buffer.\n\nImplements: rados_write_op_setxattr",
        py::arg("xattr_name"), py::arg("xattr_value"));
    define(
        cls, "rm_xattr",
        [](topics::WriteOperation& self, const Name& xattr_name) {
            without_gil([&] { self.remove_xattr(xattr_name); });
        },
        "Remove an attribute.\n\nImplements: rados_write_op_rmxattr", py::arg("xattr_name"));
    define(
        cls, "execute",
        [](topics::WriteOperation& self, const Name& method_class, const Name& method,
           const py::object& data) {
            with_buffer(data, [&](const char* input, std::size_t size) {
                self.execute(method_class, method, input, size);
            });
        },
        "Run a method of an object class, which the OSDs have loaded.\n\n"
        "Implements: rados_write_op_exec",
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
        "Give an operation up.\n\nImplements: rados_release_write_op", py::arg("write_op"));
    define(
        ioctx, "release_read_op",
        [](const IoCtx&, topics::ReadOperation& read_op) {
            without_gil([&] { read_op.release(); });
        },
        "Give an operation up.\n\nImplements: rados_release_read_op", py::arg("read_op"));
    define(
        ioctx, "operate_write_op",
        [](const IoCtx& self, topics::WriteOperation& write_op, const Name& oid, const I64& mtime,
           const Flags& flags) {
            // The stock module's 0 stands for the present too.
            std::optional<std::time_t> modified;
            if (mtime.value != 0) {
                modified = static_cast<std::time_t>(mtime.value);
            }
            without_gil([&] { write_op.operate(self, oid, modified, flags); });
        },
        "Have all parts of an operation take effect on an object, or none.\n\n"
        "mtime: when the object is to be modified, in seconds since 1970; 0 for now. flags: "
        "LIBRADOS_OPERATION_*.\nRaises ExtendMismatch, whose offset tells where a cmpext() found "
        "other data, and what the parts raise.\n\nImplements: rados_write_op_operate",
        py::arg("write_op"), py::arg("oid"), py::arg("mtime") = 0,
        py::arg("flags") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
    define(
        ioctx, "operate_read_op",
        [](const IoCtx& self, topics::ReadOperation& read_op, const Name& oid, const Flags& flag) {
            without_gil([&] { read_op.operate(self, oid, flag); });
        },
        "Read what an operation asks for. Its iterators can be read afterwards.\n\n"
        "flag: LIBRADOS_OPERATION_*. Raises ObjectNotFound, ExtendMismatch.\n\n"
        "Implements: rados_read_op_operate",
        py::arg("read_op"), py::arg("oid"),
        py::arg("flag") = static_cast<int>(topics::constants::OPERATION_NOFLAG));
}

}  // namespace

void bind_operation(WriteOpClass& write_op, ReadOpClass& read_op, IoctxClass& ioctx) {
    define_life(write_op,
                "Set LIBRADOS_OP_FLAG_* for the part that was put in last.\n\n"
                "Raises InvalidArgumentError if there is none.\n\n"
                "Implements: rados_write_op_set_flags");
    define_life(read_op,
                "Set LIBRADOS_OP_FLAG_* for the part that was put in last.\n\n"
                "Raises InvalidArgumentError if there is none.\n\n"
                "Implements: rados_read_op_set_flags");
    define_object(write_op);
    define_data(write_op);
    define(
        read_op, "cmpext",
        [](topics::ReadOperation& self, const py::object& cmp_buf, const U64& offset) {
            with_buffer(cmp_buf, [&](const char* data, std::size_t size) {
                self.compare(data, size, offset);
            });
        },
        "Have the operation fail (ExtendMismatch) unless the object holds these bytes at "
        "`offset`.\n\nImplements: rados_read_op_cmpext",
        py::arg("cmp_buf"), py::arg("offset") = 0);
    define_calls(ioctx);
}

}  // namespace rbdxx::python::rados
