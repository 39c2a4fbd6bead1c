#include "interpreters.hpp"

#include <thread>

#include "gil.hpp"

namespace rbdxx::python {

namespace {

// The definition that Python keeps for a module without state.
PyModuleDef definition;
// The first module, which is never freed.
PyObject* first_module = nullptr;

// Makes another module with the same names. Newer Pythons do that themselves; Python 3.9 does only
// if the main interpreter has imported the module.
PyObject* copy() {
    PyObject* module = PyModule_Create(&definition);
    if (module != nullptr &&
        PyDict_Update(PyModule_GetDict(module), PyModule_GetDict(first_module)) != 0) {
        Py_CLEAR(module);
    }
    return module;
}

PyObject* make(const char* name, void (*fill)(py::module_& m)) {
    try {
        py::detail::ensure_internals();
        auto module = py::module_::create_extension_module(name, nullptr, &definition);
        // Bindings look the module up by its name while it is filled.
        auto modules = py::reinterpret_borrow<py::dict>(PyImport_GetModuleDict());
        modules[name] = module;
        fill(module);
        modules.attr("pop")(name);
        first_module = module.inc_ref().ptr();
        return module.release().ptr();
    }
    PYBIND11_CATCH_INIT_EXCEPTIONS
    return nullptr;
}

}  // namespace

PyObject* shared_module(const char* name, void (*fill)(py::module_& m)) {
    if (first_module != nullptr) {
        return copy();
    }
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) {
        return make(name, fill);
    }
    // pybind11 takes the GIL for this thread's first interpreter. If this interpreter holds it,
    // that never ends. A new thread belongs to the main interpreter only.
    PyObject* module = nullptr;
    PyObject* error[3] = {};
    without_gil([&] {
        std::thread([&] {
            PyGILState_STATE state = PyGILState_Ensure();
            module = make(name, fill);
            PyErr_Fetch(&error[0], &error[1], &error[2]);
            PyGILState_Release(state);
        }).join();
    });
    PyErr_Restore(error[0], error[1], error[2]);
    return module;
}

}  // namespace rbdxx::python
