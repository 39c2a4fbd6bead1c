#include <pybind11/stl.h>

#include <rbdxx/rados/constants.hpp>
#include <rbdxx/rados/omap.hpp>
#include <rbdxx/rados/operation.hpp>

#include <mutex>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// The stock module's iterator over what a part of an operation reads.
struct OmapIterator {
    py::object ioctx;
    py::object key_type;
    bool decodes = true;  // whether keys are decoded as bytes.decode does
    std::shared_ptr<topics::omap::Result> result;
    std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();
};

// Returns the stock module's default, which None stands for in this module.
py::object decode() {
    return py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(&PyBytes_Type))
        .attr("decode");
}

OmapIterator iterator_of(const py::object& ioctx, const py::object& key_type,
                         std::shared_ptr<topics::omap::Result> result) {
    if (!key_type.is_none() && PyCallable_Check(key_type.ptr()) == 0) {
        throw py::type_error("omap_key_type must be callable or None, not " +
                             std::string(Py_TYPE(key_type.ptr())->tp_name));
    }
    OmapIterator iterator;
    iterator.ioctx = ioctx;
    py::object usual = decode();
    iterator.key_type = key_type.is_none() ? usual : key_type;
    // Each access to bytes.decode returns the same descriptor.
    iterator.decodes = iterator.key_type.is(usual);
    iterator.result = std::move(result);
    return iterator;
}

py::object key_of(const OmapIterator& self, std::string_view key) {
    if (self.decodes) {
        return checked(PyUnicode_DecodeUTF8(key.data(), static_cast<Py_ssize_t>(key.size()),
                                            "surrogateescape"));
    }
    return self.key_type(py::bytes(key.data(), key.size()));
}

// Returns the next pair; null without an exception at the end.
PyObject* next_entry(PyObject* object) {
    return fast::guarded([&]() -> PyObject* {
        auto& self = fast::value_of<OmapIterator>(object);
        if (self.result == nullptr) {
            throw RadosArgumentError("the iterator does not belong to an operation");
        }
        py::object key;
        py::object value = py::none();
        {
            // This makes no call: the entries are in memory already.
            std::unique_lock<std::mutex> lock(*self.mutex, std::try_to_lock);
            if (!lock) {
                without_gil([&] { lock.lock(); });
            }
            auto entry = self.result->next();
            if (!entry) {
                return nullptr;  // no exception is set: this is the end
            }
            if (entry->value) {
                value = py::bytes(entry->value->data(), entry->value->size());
            }
            key = key_of(self, entry->key);
        }
        return checked(PyTuple_Pack(2, key.ptr(), value.ptr())).release().ptr();
    });
}

// Returns the largest number of entries to read. -1 means all, as in the stock module.
uint64_t most_of(const py::object& max_return) {
    return max_return.equal(py::int_(-1)) ? UINT64_MAX : convert_u64(max_return);
}

std::vector<std::string> keys_of(const py::iterable& keys) {
    std::vector<std::string> names;
    for (py::handle key : keys) {
        names.push_back(convert_name(key));
    }
    return names;
}

// Values for omap, which are held while the C library reads them: str as UTF-8, or buffers.
class Values {
public:
    explicit Values(const py::iterable& values) {
        for (py::handle value : values) {
            add(value);
        }
    }
    explicit Values(const py::object& value) { add(value); }
    const std::vector<std::string_view>& views() const { return views_; }

private:
    void add(py::handle value) {
        py::object source = py::reinterpret_borrow<py::object>(value);
        if (PyUnicode_Check(source.ptr()) != 0) {
            source = checked(PyUnicode_AsEncodedString(source.ptr(), "utf-8", "surrogateescape"));
            texts_.append(source);
        }
        const Buffer& buffer = buffers_.emplace_back(source, Buffer::Access::read);
        views_.emplace_back(buffer.data(), buffer.size());
    }

    py::list texts_;
    std::vector<Buffer> buffers_;
    std::vector<std::string_view> views_;
};

void define_reading(IoctxClass& ioctx) {
    define(
        ioctx, "get_omap_vals",
        [](const py::object& self, topics::ReadOperation& read_op, const Name& start_after,
           const Name& filter_prefix, const py::object& max_return,
           const py::object& omap_key_type) {
            const uint64_t most = most_of(max_return);
            auto result = without_gil([&] {
                return topics::omap::get_values(read_op, start_after, filter_prefix, most);
            });
            return py::make_tuple(iterator_of(self, omap_key_type, std::move(result)), 0);
        },
        R"(Add a part to an operation that reads entries of an object's omap.

Parameters
----------
read_op
    The operation.
start_after
    Read only entries whose keys come after this one; "" means all.
filter_prefix
    Read only entries whose keys begin so; "" means all.
max_return
    The most entries; -1 means all that the OSD returns in one call.
omap_key_type
    Called with the bytes of a key, returns the key; None means `bytes.decode`.

Returns
-------
A tuple: an iterator of pairs of key and value, and 0. The iterator can be read once the operation has
been performed.

Examples
--------
>>> with rbd.rados.WriteOpCtx() as update:
...     ioctx.set_omap(update, ["colour"], [b"red"])
...     ioctx.operate_write_op(update, "greeting")
>>> with rbd.rados.ReadOpCtx() as read:
...     entries, _ = ioctx.get_omap_vals(read, "", "", 100)
...     ioctx.operate_read_op(read, "greeting")
...     list(entries)
[('colour', b'red')]

Implements: rados_read_op_omap_get_vals2)",
        py::arg("read_op"), py::arg("start_after"), py::arg("filter_prefix"), py::arg("max_return"),
        py::arg("omap_key_type") = py::none());
    define(
        ioctx, "get_omap_keys",
        [](const py::object& self, topics::ReadOperation& read_op, const Name& start_after,
           const py::object& max_return, const py::object& omap_key_type) {
            const uint64_t most = most_of(max_return);
            auto result =
                without_gil([&] { return topics::omap::get_keys(read_op, start_after, most); });
            return py::make_tuple(iterator_of(self, omap_key_type, std::move(result)), 0);
        },
        R"(Add a part to an operation that reads keys of an object's omap.

Parameters
----------
read_op
    The operation.
start_after
    Read only keys that come after this one; "" means all.
max_return
    The most keys; -1 means all that the OSD returns in one call.
omap_key_type
    Called with the bytes of a key, returns the key; None means `bytes.decode`.

Returns
-------
A tuple: an iterator of pairs of key and None, and 0. The iterator can be read once the operation has
been performed.

Implements: rados_read_op_omap_get_keys2)",
        py::arg("read_op"), py::arg("start_after"), py::arg("max_return"),
        py::arg("omap_key_type") = py::none());
    define(
        ioctx, "get_omap_vals_by_keys",
        [](const py::object& self, topics::ReadOperation& read_op, const py::iterable& keys,
           const py::object& omap_key_type) {
            const std::vector<std::string> names = keys_of(keys);
            auto result =
                without_gil([&] { return topics::omap::get_values_by_keys(read_op, names); });
            return py::make_tuple(iterator_of(self, omap_key_type, std::move(result)), 0);
        },
        R"(Add a part to an operation that reads the entries of an object's omap with some keys.

Parameters
----------
read_op
    The operation.
keys
    The keys. Those that do not exist are left out of the result.
omap_key_type
    Called with the bytes of a key, returns the key; None means `bytes.decode`.

Returns
-------
A tuple: an iterator of pairs of key and value, and 0. The iterator can be read once the operation has
been performed.

Implements: rados_read_op_omap_get_vals_by_keys2)",
        py::arg("read_op"), py::arg("keys"), py::arg("omap_key_type") = py::none());
}

void define_writing(IoctxClass& ioctx) {
    define(
        ioctx, "set_omap",
        [](const IoCtx&, topics::WriteOperation& write_op, const py::iterable& keys,
           const py::iterable& values) {
            const std::vector<std::string> names = keys_of(keys);
            const Values contents(values);
            without_gil([&] { topics::omap::set(write_op, names, contents.views()); });
        },
        R"(Add a part to an operation that sets entries of an object's omap.

Parameters
----------
write_op
    The operation.
keys
    The keys.
values
    The values, as many as keys; each is a str or a buffer.

Raises
------
InvalidArgumentError
    There are not as many values as keys.

Examples
--------
>>> with rbd.rados.WriteOpCtx() as update:
...     ioctx.set_omap(update, ["colour", "size"], [b"red", b"12"])
...     ioctx.operate_write_op(update, "greeting")

Implements: rados_write_op_omap_set2)",
        py::arg("write_op"), py::arg("keys"), py::arg("values"));
    define(
        ioctx, "remove_omap_keys",
        [](const IoCtx&, topics::WriteOperation& write_op, const py::iterable& keys) {
            const std::vector<std::string> names = keys_of(keys);
            without_gil([&] { topics::omap::remove_keys(write_op, names); });
        },
        R"(Add a part to an operation that removes entries of an object's omap.

Parameters
----------
write_op
    The operation.
keys
    The keys.

Implements: rados_write_op_omap_rm_keys2)",
        py::arg("write_op"), py::arg("keys"));
    define_gated(
        ioctx, "rados_write_op_omap_rm_range2", "remove_omap_range2",
        [](const IoCtx&, topics::WriteOperation& write_op, const Name& key_begin,
           const Name& key_end) {
            without_gil([&] { topics::omap::remove_range(write_op, key_begin, key_end); });
        },
        R"(Add a part to an operation that removes a range of entries of an object's omap.

Parameters
----------
write_op
    The operation.
key_begin
    The first key to remove.
key_end
    The first key to keep.

Implements: rados_write_op_omap_rm_range2)",
        py::arg("write_op"), py::arg("key_begin"), py::arg("key_end"));
    define(
        ioctx, "clear_omap",
        [](const IoCtx&, topics::WriteOperation& write_op) {
            without_gil([&] { topics::omap::clear(write_op); });
        },
        R"(Add a part to an operation that removes every entry of an object's omap.

Parameters
----------
write_op
    The operation.

Implements: rados_write_op_omap_clear)",
        py::arg("write_op"));
}

}  // namespace

void bind_omap(py::module_& m, WriteOpClass& write_op, IoctxClass& ioctx) {
    py::class_<OmapIterator> iterator(
        m, "OmapIterator",
        "The entries that an operation has read: pairs of a key and a value in bytes.");
    define_init(iterator, py::init([](const py::object& context, const py::object& omap_key_type) {
                    context_of(context);  // raises TypeError for anything else
                    return iterator_of(context, omap_key_type, nullptr);
                }),
                "Make an empty one. `Ioctx.get_omap_vals` makes those with entries.",
                py::arg("ioctx"), py::arg("omap_key_type") = py::none());
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    fast::define_next<next_entry>(
        iterator, "__next__($self)\n--\n\nThe next pair.\n\nImplements: rados_omap_get_next2");
    iterator.def_readwrite("ioctx", &OmapIterator::ioctx, "The I/O context.");
    iterator.def_property_readonly(
        "omap_key_type", [](const OmapIterator& self) { return self.key_type; },
        "The function that makes a key of its bytes.");
    define_reading(ioctx);
    define_writing(ioctx);
    define(
        write_op, "omap_cmp",
        [](topics::WriteOperation& self, const Name& key, const py::object& val, const U8& cmp_op) {
            const Values value(val);
            without_gil([&] { topics::omap::compare(self, key, value.views().front(), cmp_op); });
        },
        R"(Make the operation fail unless the value of a key in the omap compares in some way.

It fails with an `OSError` whose errno is `ECANCELED`.

Parameters
----------
key
    The key.
val
    The value to compare with: a str or a buffer.
cmp_op
    The comparison, `LIBRADOS_CMPXATTR_OP_*`.

Implements: rados_write_op_omap_cmp2)",
        py::arg("key"), py::arg("val"),
        py::arg("cmp_op") = static_cast<int>(topics::constants::CMPXATTR_OP_EQ));
}

}  // namespace rbdxx::python::rados
