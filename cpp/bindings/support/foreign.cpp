#include "foreign.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/loaded.hpp>

namespace rbdxx::python {

namespace {

[[noreturn]] void not_an_ioctx(py::handle source) {
    throw py::type_error("expected an ioctx (rbd.rados.Ioctx or rados.Ioctx), not " +
                         std::string(Py_TYPE(source.ptr())->tp_name));
}

// Returns whether the object's type is `name` of the stock extension module `rados`.
bool is_stock(py::handle source, const char* name) {
    for (PyTypeObject* type = Py_TYPE(source.ptr()); type != nullptr; type = type->tp_base) {
        if (std::string(type->tp_name) == std::string("rados.") + name &&
            (type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0) {
            return true;
        }
        // Newer releases of the stock module's compiler make heap types.
        py::object module =
            py::getattr(py::handle(reinterpret_cast<PyObject*>(type)), "__module__", py::none());
        const char* short_name = std::strrchr(type->tp_name, '.');
        short_name = short_name != nullptr ? short_name + 1 : type->tp_name;
        if (std::string(short_name) == name &&
            (std::string(type->tp_name) == std::string("rados.") + name ||
             (PyUnicode_Check(module.ptr()) &&
              PyUnicode_CompareWithASCIIString(module.ptr(), "rados") == 0))) {
            py::module_ stock = py::reinterpret_borrow<py::module_>(
                PyDict_GetItemString(PyImport_GetModuleDict(), "rados"));
            if (stock && py::hasattr(stock, name) &&
                stock.attr(name).ptr() == reinterpret_cast<PyObject*>(type)) {
                return true;
            }
        }
    }
    return false;
}

// Returns whether it can be a heap pointer: aligned and outside the first page, which a flag or a
// count is not.
void* plausible(void* pointer) {
    auto address = reinterpret_cast<std::uintptr_t>(pointer);
    return address >= 4096 && address % alignof(void*) == 0 ? pointer : nullptr;
}

// The slots after the head of a Cython object.
struct Slots {
    explicit Slots(py::handle source)
        : first(reinterpret_cast<void* const*>(reinterpret_cast<const char*>(source.ptr()) +
                                               sizeof(PyObject))),
          count((static_cast<std::size_t>(Py_TYPE(source.ptr())->tp_basicsize) - sizeof(PyObject)) /
                sizeof(void*)) {}
    void* const* const first;
    const std::size_t count;
};

// Returns the C handle in a Cython object: the first pointer after the head that is not a Python
// object among its referents. If the type has a virtual table, that takes the first slot.
void* handle_in(py::handle source) {
    PyTypeObject* type = Py_TYPE(source.ptr());
    py::list referents = py::module_::import("gc").attr("get_referents")(source);
    const Slots slots(source);
    std::size_t at =
        py::hasattr(py::handle(reinterpret_cast<PyObject*>(type)), "__pyx_vtable__") ? 1 : 0;
    for (; at < slots.count; ++at) {
        void* slot = slots.first[at];
        bool object = slot == Py_None;
        for (py::handle referent : referents) {
            object = object || referent.ptr() == slot;
        }
        if (!object) {
            return plausible(slot);
        }
    }
    return nullptr;
}

// `state` is a str in some releases, bytes in others.
std::string state_of(py::handle source) {
    py::object state = py::getattr(source, "state", py::none());
    if (PyBytes_Check(state.ptr())) {
        return std::string(state.cast<py::bytes>());
    }
    return PyUnicode_Check(state.ptr()) ? state.cast<std::string>() : std::string();
}

// The stock module must use the same librados as this one. Otherwise its handles are invalid here.
void require_same_rados() {
    py::handle module = PyDict_GetItemString(PyImport_GetModuleDict(), "rados");
    if (!module || !py::hasattr(module, "__file__")) {
        return;
    }
    std::string theirs = rados_of_module(module.attr("__file__").cast<std::string>());
    if (!theirs.empty() && theirs != library_info().rados_path) {
        throw py::type_error("this rados.Ioctx belongs to " + theirs + ", but librbd uses " +
                             library_info().rados_path);
    }
}

// Returns the stock Rados that has this handle, if one exists.
py::object connection_with(abi::rados_t cluster) {
    py::object found = py::none();
    py::handle module = PyDict_GetItemString(PyImport_GetModuleDict(), "rados");
    py::object type = module ? py::getattr(module, "Rados", py::none()) : py::none();
    if (!PyType_Check(type.ptr())) {
        return found;
    }
    py::list objects = py::module_::import("gc").attr("get_objects")();
    for (py::handle object : objects) {
        if (PyObject_TypeCheck(object.ptr(), reinterpret_cast<PyTypeObject*>(type.ptr())) != 0 &&
            handle_in(object) == cluster) {
            found = py::reinterpret_borrow<py::object>(object);
            // A Rados that is shut down may have had the same address before.
            if (state_of(found) == "connected") {
                break;
            }
        }
    }
    return found;
}

// Returns the stock Rados that the Ioctx was opened with.
py::object connection_of(py::handle ioctx, abi::rados_ioctx_t raw) {
    py::list referents = py::module_::import("gc").attr("get_referents")(ioctx);
    for (py::handle referent : referents) {
        if (is_stock(referent, "Rados")) {
            return py::reinterpret_borrow<py::object>(referent);
        }
    }
    // An Ioctx of Ceph 14 does not refer to it. This call only reads what the context remembers.
    return connection_with(functions().rados_ioctx_get_cluster(raw));
}

// The word in a connected Rados that names its state. shutdown() replaces the object there without
// any notice. The word is readable while the Rados lives, and what is opened over it keeps it
// alive.
class StateWord final : public Guard {
public:
    StateWord(void* const* place, const void* connected) : place_(place), connected_(connected) {}
    bool gone() const noexcept override {
        return __atomic_load_n(place_, __ATOMIC_RELAXED) != connected_;
    }

private:
    void* const* const place_;
    const void* const connected_;
};

std::shared_ptr<const Guard> guard_of(py::handle connection) {
    const Slots slots(connection);
    py::object state = py::getattr(connection, "state", py::none());
    for (std::size_t at = 0; at < slots.count && !state.is_none(); ++at) {
        if (slots.first[at] == state.ptr()) {
            return std::make_shared<StateWord>(slots.first + at, state.ptr());
        }
    }
    return nullptr;
}

bool mapped(void* pointer) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    char* start = static_cast<char*>(pointer) - reinterpret_cast<std::uintptr_t>(pointer) % page;
    return ::msync(start, page, MS_ASYNC) == 0;
}

// Returns the handle in an object of a ctypes binding: its `io` is a c_void_p. A number is not
// accepted as a pointer.
void* ctypes_handle(py::handle source) {
    py::object io = py::getattr(source, "io", py::none());
    py::object ctypes = py::reinterpret_borrow<py::object>(
        PyDict_GetItemString(PyImport_GetModuleDict(), "ctypes"));
    if (!ctypes || !py::isinstance(io, ctypes.attr("c_void_p"))) {
        return nullptr;
    }
    py::object value = io.attr("value");
    if (value.is_none()) {
        return nullptr;
    }
    void* pointer = plausible(PyLong_AsVoidPtr(value.ptr()));
    return pointer != nullptr && mapped(pointer) ? pointer : nullptr;
}

}  // namespace

bool foreign_connected(py::handle connection) {
    return !connection || connection.is_none() || state_of(connection) == "connected";
}

IoCtxArgument foreign_ioctx(py::handle source) {
    IoCtxArgument argument;
    argument.owner = py::reinterpret_borrow<py::object>(source);
    argument.connection = py::none();
    void* raw = nullptr;
    std::shared_ptr<const Guard> guard;
    if (is_stock(source, "Ioctx")) {
        if (state_of(source) != "open") {
            throw ClosedError("ioctx is closed", ClosedError::Subject::ioctx);
        }
        require_same_rados();
        raw = handle_in(source);
        if (raw != nullptr) {
            argument.connection = connection_of(source, raw);
        }
        if (!foreign_connected(argument.connection)) {
            throw ClosedError("the ioctx's connection is shut down", ClosedError::Subject::ioctx);
        }
        if (!argument.connection.is_none()) {
            guard = guard_of(argument.connection);
        }
    } else if (py::hasattr(source, "io")) {
        if (py::hasattr(source, "state") && state_of(source) != "open") {
            throw ClosedError("ioctx is closed", ClosedError::Subject::ioctx);
        }
        raw = ctypes_handle(source);
    }
    if (raw == nullptr) {
        not_an_ioctx(source);
    }
    argument.ioctx = IoCtx::borrow(raw, std::move(guard));
    return argument;
}

abi::rados_t foreign_cluster(py::handle source) {
    void* raw = nullptr;
    if (is_stock(source, "Rados")) {
        if (!foreign_connected(source)) {
            throw ClosedError("the connection is shut down", ClosedError::Subject::cluster);
        }
        require_same_rados();
        raw = handle_in(source);
    }
    if (raw == nullptr) {
        throw py::type_error("expected a rados.Rados, not " +
                             std::string(Py_TYPE(source.ptr())->tp_name));
    }
    return raw;
}

}  // namespace rbdxx::python
