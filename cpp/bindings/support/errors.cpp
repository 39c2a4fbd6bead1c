#include "errors.hpp"

#include <stdexcept>

#include "arguments.hpp"

namespace rbdxx::python {

namespace {

constexpr const char* of_images = "rbd.exceptions";
constexpr const char* of_rados = "rbd.rados.exceptions";

// Makes the exception of a kind: a class, or a function that chooses a class by the errno.
struct Maker {
    const char* module;
    const char* name;
};

Maker maker(Kind kind) {
    switch (kind) {
        case Kind::image:
            return {of_images, "_image_error"};
        case Kind::group:
            return {of_images, "_group_error"};
        case Kind::group_rename:
            return {of_images, "_group_rename_error"};
        case Kind::rados:
            return {of_rados, "_error"};
        case Kind::argument:
            return {of_images, "InvalidArgument"};
        case Kind::not_text:
            return {of_images, "_NotText"};
        case Kind::closed_image:
            return {of_images, "InvalidArgument"};
        case Kind::closed_ioctx:
            return {of_rados, "IoctxStateError"};
        case Kind::closed_cluster:
            return {of_rados, "RadosStateError"};
        case Kind::closed_connection:
            return {of_rados, "_ConnectionGone"};
        case Kind::rados_key:
            return {of_rados, "_KeyNotFound"};
        case Kind::rados_argument:
            return {of_rados, "InvalidArgumentError"};
        case Kind::rados_forked:
            return {of_rados, "_Forked"};
        case Kind::disconnected:
            return {of_images, "_Disconnected"};
        case Kind::forked:
            return {of_images, "ConnectionShutdown"};
        case Kind::incomplete:
            return {of_images, "IncompleteWriteError"};
        case Kind::logic:
            return {of_images, "LogicError"};
        case Kind::mismatch:
            return {of_images, "CompareMismatch"};
        case Kind::missing:
            return {of_images, "FunctionNotSupported"};
        case Kind::absent:
            return {of_images, "_AbsentFunction"};
        case Kind::library:
            return {of_images, "LibraryNotFound"};
    }
    throw std::logic_error("an error of an unknown kind");
}

// Makes the exception with its message, and with its errno unless that is 0.
py::object make(Kind kind, int code, const std::string& message) {
    const Maker chosen = maker(kind);
    // Looked up for each error and not kept, because every interpreter has its own classes.
    py::object made = py::module_::import(chosen.module).attr(chosen.name);
    return code == 0 ? made(text(message)) : made(text(message), code);
}

Kind kind_of(const ClosedError& error) {
    switch (error.subject()) {
        case ClosedError::Subject::image:
            return Kind::closed_image;
        case ClosedError::Subject::ioctx:
            return Kind::closed_ioctx;
        case ClosedError::Subject::cluster:
            return Kind::closed_cluster;
        case ClosedError::Subject::connection:
            return Kind::closed_connection;
    }
    throw std::logic_error("a closed object of an unknown kind");
}

void translate(std::exception_ptr failure) {
    try {
        std::rethrow_exception(std::move(failure));
    } catch (const Error&) {
        raise_current();
    }
}

}  // namespace

void restore(py::handle error) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

void throw_error(py::handle error) {
    restore(error);
    throw py::error_already_set();
}

void report_current(py::handle callback) noexcept {
    restore(current_exception());
    PyErr_WriteUnraisable(callback.ptr());
}

void raise(Kind kind, const Error& error) {
    restore(make(kind, error.code(), error.what()));
}

void throw_not_text(py::handle source) {
    restore(make(Kind::not_text, 0, "expected str or bytes, not " + type_of(source)));
    throw py::error_already_set();
}

py::object make_error(int code, const std::string& message) {
    return make(Kind::image, code, message);
}

bool raise_current() noexcept {
    try {
        try {
            throw;
        } catch (const GroupError& error) {
            raise(Kind::group, error);
        } catch (const RadosKeyError& error) {
            raise(Kind::rados_key, error);
        } catch (const RadosError& error) {
            raise(Kind::rados, error);
        } catch (const BatchError& error) {
            py::object made = make(error.code() == 0 ? Kind::incomplete : Kind::image, error.code(),
                                   error.what());
            made.attr("index") = error.index();
            made.attr("offset") = error.offset();
            restore(made);
        } catch (const CompareMismatch& error) {
            py::object made = make(Kind::mismatch, error.code(), error.what());
            made.attr("offset") = error.offset();
            restore(made);
        } catch (const DisconnectedError& error) {
            const bool image = error.subject() == ClosedError::Subject::image;
            raise(image ? Kind::disconnected : kind_of(error), error);
        } catch (const ClosedError& error) {
            raise(kind_of(error), error);
        } catch (const RadosArgumentError& error) {
            raise(Kind::rados_argument, error);
        } catch (const ArgumentError& error) {
            raise(Kind::argument, error);
        } catch (const ForkedError& error) {
            const bool image = error.subject() == ClosedError::Subject::image;
            raise(image ? Kind::forked : Kind::rados_forked, error);
        } catch (const IncompleteWrite& error) {
            raise(Kind::incomplete, error);
        } catch (const LogicFault& error) {
            raise(Kind::logic, error);
        } catch (const MissingFunction& error) {
            raise(Kind::missing, error);
        } catch (const LibraryNotFound& error) {
            raise(Kind::library, error);
        } catch (const Error& error) {
            raise(Kind::image, error);
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
