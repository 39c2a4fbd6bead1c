#include "errors.hpp"

#include "arguments.hpp"

namespace rbdxx::python {

namespace {

py::object from_core(const char* kind, int code, const std::string& message,
                     const py::tuple& details) {
    // Looked up at each error, not kept: every interpreter has its own classes.
    return py::module_::import("rbd.exceptions")
        .attr("_from_core")(kind, code, text(message), *details);
}

void set(const py::object& error) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

void translate(std::exception_ptr failure) {
    try {
        std::rethrow_exception(std::move(failure));
    } catch (const Error&) {
        raise_current();
    }
}

}  // namespace

void raise(const char* kind, const Error& error, const py::tuple& details) {
    set(from_core(kind, error.code(), error.what(), details));
}

void throw_not_text(py::handle source) {
    set(from_core("not_text", 0,
                  "expected str or bytes, not " + std::string(Py_TYPE(source.ptr())->tp_name),
                  py::tuple()));
    throw py::error_already_set();
}

py::object make_error(int code, const std::string& message) {
    return from_core("errno", code, message, py::tuple());
}

bool raise_current() noexcept {
    try {
        try {
            throw;
        } catch (const GroupError& error) {
            raise("group", error);
        } catch (const RadosError& error) {
            raise("rados", error);
        } catch (const BatchError& error) {
            raise("batch", error, py::make_tuple(error.index(), error.offset()));
        } catch (const CompareMismatch& error) {
            raise("mismatch", error, py::make_tuple(error.offset()));
        } catch (const DisconnectedError& error) {
            raise("disconnected", error, py::make_tuple(static_cast<int>(error.subject())));
        } catch (const ClosedError& error) {
            raise("closed", error, py::make_tuple(static_cast<int>(error.subject())));
        } catch (const ArgumentError& error) {
            raise("argument", error);
        } catch (const ForkedError& error) {
            raise("forked", error);
        } catch (const IncompleteWrite& error) {
            raise("incomplete", error);
        } catch (const LogicFault& error) {
            raise("logic", error);
        } catch (const MissingFunction& error) {
            raise("missing", error);
        } catch (const LibraryNotFound& error) {
            raise("library", error);
        } catch (const Error& error) {
            raise("errno", error);
        }
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (...) {
        return false;
    }
    return true;
}

void restore_current() noexcept {
    try {
        throw;
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const std::exception& error) {
        if (!raise_current()) {
            PyErr_SetString(PyExc_RuntimeError, error.what());
        }
    }
}

py::object current_exception() noexcept {
    restore_current();
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return py::reinterpret_steal<py::object>(value);
}

void bind_errors(py::module_&) {
    py::register_local_exception_translator(translate);
}

}  // namespace rbdxx::python
