#include "extents.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include "bindings.hpp"
#include "define.hpp"
#include "errors.hpp"

namespace rbdxx::python {

namespace {

// Implements the iteration slot directly, because a method that is found by name costs more than
// the tuple that it makes.
struct ExtentsIterator {
    PyObject_HEAD PyObject* owner;
    const Extents* extents;
    // Atomic, because threads may share an iterator, and without the GIL nothing else protects it.
    std::atomic<std::size_t> next;
};

PyObject* next_extent(PyObject* self) {
    auto* iterator = reinterpret_cast<ExtentsIterator*>(self);
    const std::size_t index = iterator->next.fetch_add(1, std::memory_order_relaxed);
    if (index >= iterator->extents->items.size()) {
        return nullptr;
    }
    try {
        return extent_tuple(iterator->extents->items[index]).release().ptr();
    } catch (py::error_already_set& error) {
        error.restore();
        return nullptr;
    }
}

void dealloc_iterator(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_CLEAR(reinterpret_cast<ExtentsIterator*>(self)->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

PyType_Slot iterator_slots[] = {
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(next_extent)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_iterator)},
    {0, nullptr},
};

PyType_Spec iterator_spec = {"rbd._core._ExtentsIterator", sizeof(ExtentsIterator), 0,
                             Py_TPFLAGS_DEFAULT, iterator_slots};

py::object iterate(const py::object& self, const py::object& iterator_type) {
    auto* type = reinterpret_cast<PyTypeObject*>(iterator_type.ptr());
    PyObject* made = type->tp_alloc(type, 0);
    if (made == nullptr) {
        throw py::error_already_set();
    }
    auto* iterator = reinterpret_cast<ExtentsIterator*>(made);
    iterator->owner = py::object(self).release().ptr();
    iterator->extents = &self.cast<const Extents&>();
    new (&iterator->next) std::atomic<std::size_t>(0);
    return py::reinterpret_steal<py::object>(made);
}

py::object item(const Extents& self, const py::object& key) {
    if (PySlice_Check(key.ptr())) {
        Py_ssize_t start = 0;
        Py_ssize_t stop = 0;
        Py_ssize_t step = 0;
        if (PySlice_Unpack(key.ptr(), &start, &stop, &step) != 0) {
            throw py::error_already_set();
        }
        Py_ssize_t count =
            PySlice_AdjustIndices(static_cast<Py_ssize_t>(self.items.size()), &start, &stop, step);
        auto part = std::make_unique<Extents>();
        for (Py_ssize_t i = 0; i < count; ++i, start += step) {
            if (!part->items.append(self.items[static_cast<std::size_t>(start)])) {
                throw std::bad_alloc();
            }
        }
        return py::cast(std::move(part));
    }
    Py_ssize_t index = PyNumber_AsSsize_t(key.ptr(), PyExc_IndexError);
    if (index == -1 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    auto size = static_cast<Py_ssize_t>(self.items.size());
    if (index < 0) {
        index += size;
    }
    if (index < 0 || index >= size) {
        throw py::index_error("the index is out of range: there are " + std::to_string(size) +
                              " extents");
    }
    return extent_tuple(self.items[static_cast<std::size_t>(index)]);
}

bool equal(const Extents& one, const Extents& other) {
    if (one.items.size() != other.items.size()) {
        return false;
    }
    for (std::size_t i = 0; i < one.items.size(); ++i) {
        const diff::Extent& a = one.items[i];
        const diff::Extent& b = other.items[i];
        if (a.offset != b.offset || a.length != b.length || a.exists != b.exists) {
            return false;
        }
    }
    return true;
}

}  // namespace

py::tuple extent_tuple(const diff::Extent& extent) {
    PyObject* offset = PyLong_FromUnsignedLongLong(extent.offset);
    PyObject* length = PyLong_FromUnsignedLongLong(extent.length);
    PyObject* made = PyTuple_New(3);
    if (offset == nullptr || length == nullptr || made == nullptr) {
        Py_XDECREF(offset);
        Py_XDECREF(length);
        Py_XDECREF(made);
        throw py::error_already_set();
    }
    PyTuple_SET_ITEM(made, 0, offset);
    PyTuple_SET_ITEM(made, 1, length);
    PyObject* exists = extent.exists ? Py_True : Py_False;
    Py_INCREF(exists);
    PyTuple_SET_ITEM(made, 2, exists);
    return py::reinterpret_steal<py::tuple>(made);
}

void bind_extents(py::module_& m) {
    py::object iterator_type = sealed_type(iterator_spec);

    py::class_<Extents> extents(
        m, "Extents", py::buffer_protocol(),
        "What Image.diff() found: a sequence of (offset, length, exists), in bytes and in the "
        "order of\nthe offsets. exists is False for what reads as zeroes.\n\n"
        "A buffer of records with these names too: numpy.asarray(extents)[\"offset\"] is an "
        "array,\n"
        "without a copy.");
    extents.def_buffer([](Extents& self) {
        static_assert(offsetof(diff::Extent, offset) == 0 && offsetof(diff::Extent, length) == 8 &&
                      offsetof(diff::Extent, exists) == 16);
        return py::buffer_info(const_cast<diff::Extent*>(self.items.data()),
                               static_cast<py::ssize_t>(sizeof(diff::Extent)),
                               "T{Q:offset:Q:length:?:exists:7x}", 1,
                               {static_cast<py::ssize_t>(self.items.size())},
                               {static_cast<py::ssize_t>(sizeof(diff::Extent))}, true);
    });
    define(
        extents, "__len__", [](const Extents& self) { return self.items.size(); },
        "How many there are.");
    define(extents, "__getitem__", item, "One as a tuple, or those of a slice as Extents.",
           py::arg("index"));
    define(
        extents, "__iter__",
        [iterator_type](const py::object& self) { return iterate(self, iterator_type); },
        "Iterates over tuples.");
    define(
        extents, "__eq__",
        [](const Extents& self, const py::object& other) -> py::object {
            if (!py::isinstance<Extents>(other)) {
                return py::reinterpret_borrow<py::object>(Py_NotImplemented);
            }
            return py::bool_(equal(self, other.cast<const Extents&>()));
        },
        "Whether the same extents stand in the same order.", py::arg("other"));
    extents.attr("__hash__") = py::none();
    define(
        extents, "__repr__",
        [](const Extents& self) {
            return "<rbd.Extents: " + std::to_string(self.items.size()) + ">";
        },
        "A readable text.");
}

}  // namespace rbdxx::python
