// The descriptor behind define_gated().
#include <exception>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>

#include "define.hpp"
#include "errors.hpp"

namespace rbdxx::python {

namespace {

struct Gate {
    PyObject_HEAD PyObject* method;
    const char* c_function;
};

// Returns whether to hide the method. If no library can be loaded, every method looks present: the
// call itself then says what to install.
bool absent(const char* c_function) {
    try {
        return !supports(c_function);
    } catch (const LibraryNotFound&) {
        return false;
    }
}

PyObject* get(PyObject* self, PyObject* instance, PyObject*) {
    auto* gate = reinterpret_cast<Gate*>(self);
    if (instance == nullptr || instance == Py_None) {
        Py_INCREF(gate->method);
        return gate->method;
    }
    // CPython calls this, so no C++ exception may leave it.
    try {
        if (!absent(gate->c_function)) {
            return PyMethod_New(gate->method, instance);
        }
        try {
            throw_missing_function(gate->c_function);
        } catch (const MissingFunction& error) {
            raise(Kind::absent, error);
        }
    } catch (const std::exception&) {
        restore_current();
    }
    return nullptr;
}

void dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_CLEAR(reinterpret_cast<Gate*>(self)->method);
    type->tp_free(self);
    Py_DECREF(type);
}

PyType_Slot slots[] = {
    {Py_tp_descr_get, reinterpret_cast<void*>(get)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {0, nullptr},
};

PyType_Spec spec = {"rbd._core._Gate", sizeof(Gate), 0, Py_TPFLAGS_DEFAULT, slots};

// There is one type for each interpreter that imports the module.
py::object gate_type() {
    // Not by an import: that would import the package first, which would take this module for
    // complete.
    py::object module = py::reinterpret_borrow<py::dict>(PyImport_GetModuleDict())["rbd._core"];
    if (!py::hasattr(module, "_Gate")) {
        module.attr("_Gate") = sealed_type(spec);
    }
    return module.attr("_Gate");
}

}  // namespace

py::object gated(py::object method, const char* c_function, const char*) {
    py::object type = gate_type();
    auto* raw = reinterpret_cast<PyTypeObject*>(type.ptr());
    PyObject* self = raw->tp_alloc(raw, 0);
    if (self == nullptr) {
        throw py::error_already_set();
    }
    auto* gate = reinterpret_cast<Gate*>(self);
    gate->method = method.release().ptr();
    gate->c_function = c_function;
    return py::reinterpret_steal<py::object>(self);
}

}  // namespace rbdxx::python
