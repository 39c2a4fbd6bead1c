#include <rbdxx/rados/listing.hpp>

#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

#include "../support/define.hpp"
#include "../support/errors.hpp"
#include "../support/fast_method.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// The number of objects that one call fetches, which bounds the iterator's memory.
constexpr std::size_t page_size = 1024;

// The stock module's iterator over the objects of a context.
struct ObjectIterator {
    explicit ObjectIterator(const py::object& context)
        : ioctx(context),
          object(py::module_::import("rbd.rados.object").attr("Object")),
          opened(context_of(context)) {
        listing = without_gil([&] { return std::make_unique<topics::Listing>(opened); });
    }
    ObjectIterator(ObjectIterator&&) = default;
    ~ObjectIterator() {
        if (listing != nullptr) {
            without_gil([&] { listing.reset(); });
        }
    }

    py::object ioctx;
    py::object object;  // the class
    IoCtx opened;
    std::unique_ptr<topics::Listing> listing;
    std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();
    std::vector<topics::Listing::Entry> page;
    std::size_t taken = 0;
};

// Makes an Object as its constructor does, but without a call of Python code for each entry of a
// listing.
py::object new_object(const ObjectIterator& self, const topics::Listing::Entry& entry) {
    static PyObject* const names[] = {
        PyUnicode_InternFromString("ioctx"), PyUnicode_InternFromString("key"),
        PyUnicode_InternFromString("locator_key"), PyUnicode_InternFromString("nspace")};
    auto* type = reinterpret_cast<PyTypeObject*>(self.object.ptr());
    const py::tuple nothing;
    py::object made = checked(type->tp_new(type, nothing.ptr(), nullptr));
    const py::object values[] = {self.ioctx, text(entry.name), text_or_none(entry.locator),
                                 text(entry.space)};
    for (std::size_t i = 0; i < std::size(names); ++i) {
        if (PyObject_SetAttr(made.ptr(), names[i], values[i].ptr()) != 0) {
            throw py::error_already_set();
        }
    }
    return made;
}

// Returns the next object; null without an exception at the end.
PyObject* next_object(PyObject* iterator) {
    return fast::guarded([&]() -> PyObject* {
        auto& self = fast::value_of<ObjectIterator>(iterator);
        const IoCtxState& context = *self.opened.state();
        // Once the context is closed, objects that were fetched before are refused too: this throws
        // then.
        if (context.closed() || context.forked() ||
            context.cluster->connection.load() == ConnectionState::shut_down) {
            self.opened.connected();
        }
        topics::Listing::Entry entry;
        {
            std::unique_lock<std::mutex> lock(*self.mutex, std::try_to_lock);
            if (!lock || self.taken == self.page.size()) {
                without_gil([&] {
                    if (!lock) {
                        lock.lock();
                    }
                    if (self.taken == self.page.size()) {
                        self.page.clear();
                        self.taken = 0;
                        self.page = self.listing->next(page_size);
                    }
                });
            }
            if (self.taken == self.page.size()) {
                return nullptr;
            }
            entry = std::move(self.page[self.taken++]);
        }
        return new_object(self, entry).release().ptr();
    });
}

}  // namespace

void bind_listing(py::module_& m, IoctxClass& ioctx) {
    py::class_<ObjectIterator> iterator(m, "ObjectIterator",
                                        "The objects of an I/O context's namespace, in no order.");
    define_init(iterator, py::init<const py::object&>(), "Make one, as `Ioctx.list_objects` does.",
                py::arg("ioctx"));
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    fast::define_next<next_object>(iterator, "__next__($self)\n--\n\nThe next Object.");
    iterator.def_readonly("ioctx", &ObjectIterator::ioctx, "The I/O context.");
    define(
        ioctx, "list_objects", [](const py::object& self) { return ObjectIterator(self); },
        R"(List the objects of the context's namespace.

Returns
-------
An iterator of `Object`, in no order. It fetches the objects by the thousand.

Raises
------
IoctxStateError
    The context was closed during the listing.

Notes
-----
After `set_namespace(LIBRADOS_ALL_NSPACES)`, it lists the objects of all namespaces.

Examples
--------
>>> [found.key for found in ioctx.list_objects()]
['greeting']

Implements: rados_nobjects_list_open, rados_nobjects_list_next2, rados_nobjects_list_close)");
}

}  // namespace rbdxx::python::rados
