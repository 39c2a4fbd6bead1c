// Classes whose objects can be part of a reference cycle, which Python's garbage collector must
// find.
#pragma once

#include <pybind11/pybind11.h>

namespace rbdxx::python {

// For a class with `int traverse(visitproc, void*) const` and `void clear()`.
template <class T>
pybind11::custom_type_setup collected() {
    return pybind11::custom_type_setup([](PyHeapTypeObject* heap_type) {
        PyTypeObject* type = &heap_type->ht_type;
        type->tp_flags |= Py_TPFLAGS_HAVE_GC;
        type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
            Py_VISIT(Py_TYPE(self));
            // The collector may run while the object is being made.
            if (pybind11::detail::is_holder_constructed(self)) {
                return pybind11::cast<T&>(pybind11::handle(self)).traverse(visit, arg);
            }
            return 0;
        };
        type->tp_clear = [](PyObject* self) {
            if (pybind11::detail::is_holder_constructed(self)) {
                pybind11::cast<T&>(pybind11::handle(self)).clear();
            }
            return 0;
        };
    });
}

}  // namespace rbdxx::python
