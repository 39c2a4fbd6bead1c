#include <rbdxx/rados/xattr.hpp>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// The attributes of an object, all read when the iterator is made.
struct XattrIterator {
    py::object ioctx;
    py::object oid;
    py::object items;
};

XattrIterator attributes(const py::object& ioctx, const py::object& oid) {
    const auto& context = context_of(ioctx);
    const std::string name = convert_name(oid);
    py::list items;
    for (const auto& [key, value] :
         without_gil([&] { return topics::xattr::list(context, name); })) {
        items.append(py::make_tuple(text(key), py::bytes(value)));
    }
    return {ioctx, py::bytes(name), py::iter(items)};
}

py::object next_of(const XattrIterator& self) {
    PyObject* item = PyIter_Next(self.items.ptr());
    if (item == nullptr) {
        throw py::stop_iteration();
    }
    return py::reinterpret_steal<py::object>(item);
}

}  // namespace

void bind_xattr(py::module_& m, IoctxClass& ioctx) {
    py::class_<XattrIterator> iterator(
        m, "XattrIterator", "The attributes of an object: pairs of a name and a value in bytes.");
    define_init(iterator, py::init(&attributes), "Make one, as `Ioctx.get_xattrs` does.",
                py::arg("ioctx"), py::arg("oid"));
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    define(iterator, "__next__", next_of, "The next pair.");
    iterator.def_readwrite("ioctx", &XattrIterator::ioctx, "The I/O context.");
    iterator.def_readwrite("oid", &XattrIterator::oid, "The object's name, as bytes.");

    define(
        ioctx, "get_xattr",
        [](const IoCtx& self, const Name& key, const Name& xattr_name) {
            return py::bytes(
                without_gil([&] { return topics::xattr::get(self, key, xattr_name); }));
        },
        R"(Return an attribute of an object.

Parameters
----------
key
    The name of the object.
xattr_name
    The name of the attribute.

Returns
-------
The value.

Raises
------
NoData
    The object does not have the attribute.
ObjectNotFound
    There is no such object.

Examples
--------
>>> ioctx.set_xattr("greeting", "language", b"en")
True
>>> ioctx.get_xattr("greeting", "language")
b'en'

Implements: rados_getxattr)",
        py::arg("key"), py::arg("xattr_name"));
    define(ioctx, "get_xattrs", attributes,
           R"(List the attributes of an object.

Parameters
----------
oid
    The name of the object.

Returns
-------
An iterator of pairs: the name, and the value in bytes.

Raises
------
ObjectNotFound
    There is no such object.

Examples
--------
>>> ioctx.set_xattr("greeting", "language", b"en")
True
>>> list(ioctx.get_xattrs("greeting"))
[('language', b'en')]

Implements: rados_getxattrs, rados_getxattrs_next)",
           py::arg("oid"));
    define(
        ioctx, "set_xattr",
        [](const IoCtx& self, const Name& key, const Name& xattr_name,
           const py::object& xattr_value) {
            Buffer value(xattr_value, Buffer::Access::read);
            without_gil(
                [&] { topics::xattr::set(self, key, xattr_name, value.data(), value.size()); });
            return true;
        },
        R"(Set an attribute of an object, and create the object if it does not exist.

Parameters
----------
key
    The name of the object.
xattr_name
    The name of the attribute.
xattr_value
    The value: any buffer.

Returns
-------
True.

Implements: rados_setxattr)",
        py::arg("key"), py::arg("xattr_name"), py::arg("xattr_value"));
    define(
        ioctx, "rm_xattr",
        [](const IoCtx& self, const Name& key, const Name& xattr_name) {
            without_gil([&] { topics::xattr::remove(self, key, xattr_name); });
            return true;
        },
        R"(Remove an attribute of an object, if the object has it.

Parameters
----------
key
    The name of the object.
xattr_name
    The name of the attribute.

Returns
-------
True.

Raises
------
ObjectNotFound
    There is no such object.

Implements: rados_rmxattr)",
        py::arg("key"), py::arg("xattr_name"));
}

}  // namespace rbdxx::python::rados
