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
    bool decodes = true;  // the keys, as bytes.decode does
    std::shared_ptr<topics::omap::Result> result;
    std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();
};

// What the stock module has for a default, and ours for None.
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
    // Each look at bytes.decode gives the same descriptor.
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

// The next pair; null without an exception at the end.
PyObject* next_entry(PyObject* object) {
    return fast::guarded([&]() -> PyObject* {
        auto& self = fast::value_of<OmapIterator>(object);
        if (self.result == nullptr) {
            throw RadosArgumentError("the iterator belongs to no operation");
        }
        py::object key;
        py::object value = py::none();
        {
            // No call: the entries are in memory already.
            std::unique_lock<std::mutex> lock(*self.mutex, std::try_to_lock);
            if (!lock) {
                without_gil([&] { lock.lock(); });
            }
            auto entry = self.result->next();
            if (!entry) {
                return nullptr;  // without an exception: the end
            }
            if (entry->value) {
                value = py::bytes(entry->value->data(), entry->value->size());
            }
            key = key_of(self, entry->key);
        }
        return checked(PyTuple_Pack(2, key.ptr(), value.ptr())).release().ptr();
    });
}

// How many entries; -1 stands for all, as in the stock module.
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

// Values for omap, held while they are read: str as UTF-8, or buffers.
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
        "Have an operation read entries of the omap whose keys come after `start_after` and begin "
        "with `filter_prefix`.\n\n"
        "max_return: how many at most; -1 for all. omap_key_type: what makes a key of its bytes; "
        "None for bytes.decode.\n"
        "Returns (an iterator over pairs of key and value, 0); the iterator can be read once the "
        "operation has run.\n\nImplements: rados_read_op_omap_get_vals2",
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
        "Have an operation read keys of the omap; the values that the iterator gives are None.\n\n"
        "As get_omap_vals().\n\nImplements: rados_read_op_omap_get_keys2",
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
        "Have an operation read the entries of these keys, of which those that are not there are "
        "left out.\n\nAs get_omap_vals().\n\n"
        "Implements: rados_read_op_omap_get_vals_by_keys2",
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
        "Have an operation set entries of the omap.\n\n"
        "keys and values: as many of each; a value is a str or a buffer. Raises "
        "InvalidArgumentError.\n\nImplements: rados_write_op_omap_set2",
        py::arg("write_op"), py::arg("keys"), py::arg("values"));
    define(
        ioctx, "remove_omap_keys",
        [](const IoCtx&, topics::WriteOperation& write_op, const py::iterable& keys) {
            const std::vector<std::string> names = keys_of(keys);
            without_gil([&] { topics::omap::remove_keys(write_op, names); });
        },
        "Have an operation remove entries of the omap.\n\n"
        "Implements: rados_write_op_omap_rm_keys2",
        py::arg("write_op"), py::arg("keys"));
    define_gated(
        ioctx, "rados_write_op_omap_rm_range2", "remove_omap_range2",
        [](const IoCtx&, topics::WriteOperation& write_op, const Name& key_begin,
           const Name& key_end) {
            without_gil([&] { topics::omap::remove_range(write_op, key_begin, key_end); });
        },
        "Have an operation remove the entries from `key_begin` to before `key_end`.\n\n"
        "Implements: rados_write_op_omap_rm_range2",
        py::arg("write_op"), py::arg("key_begin"), py::arg("key_end"));
    define(
        ioctx, "clear_omap",
        [](const IoCtx&, topics::WriteOperation& write_op) {
            without_gil([&] { topics::omap::clear(write_op); });
        },
        "Have an operation remove every entry of the omap.\n\n"
        "Implements: rados_write_op_omap_clear",
        py::arg("write_op"));
}

}  // namespace

void bind_omap(py::module_& m, WriteOpClass& write_op, IoctxClass& ioctx) {
    py::class_<OmapIterator> iterator(
        m, "OmapIterator",
        "The entries that an operation has read: pairs of a key and a value in bytes.");
    define_init(iterator, py::init([](const py::object& context, const py::object& omap_key_type) {
                    if (!py::isinstance<IoCtx>(context)) {
                        throw py::type_error("ioctx must be an rbd.rados.Ioctx, not " +
                                             std::string(Py_TYPE(context.ptr())->tp_name));
                    }
                    return iterator_of(context, omap_key_type, nullptr);
                }),
                "Ioctx.get_omap_vals() and its like make one.", py::arg("ioctx"),
                py::arg("omap_key_type") = py::none());
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    fast::define_next<next_entry>(
        iterator, "__next__($self)\n--\n\nThe next pair.\n\nImplements: rados_omap_get_next2");
    iterator.def_readwrite("ioctx", &OmapIterator::ioctx, "The I/O context.");
    iterator.def_property_readonly(
        "omap_key_type", [](const OmapIterator& self) { return self.key_type; },
        "What makes a key of its bytes.");
    define_reading(ioctx);
    define_writing(ioctx);
    define(
        write_op, "omap_cmp",
        [](topics::WriteOperation& self, const Name& key, const py::object& val, const U8& cmp_op) {
            const Values value(val);
            without_gil([&] { topics::omap::compare(self, key, value.views().front(), cmp_op); });
        },
        "Have the operation fail (OSError, ECANCELED) unless the value of a key compares so.\n\n"
        "val: a str or a buffer. cmp_op: LIBRADOS_CMPXATTR_OP_*.\n\n"
        "Implements: rados_write_op_omap_cmp2",
        py::arg("key"), py::arg("val"),
        py::arg("cmp_op") = static_cast<int>(topics::constants::CMPXATTR_OP_EQ));
}

}  // namespace rbdxx::python::rados
