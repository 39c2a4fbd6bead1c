#include "awaited.hpp"

#include <cstddef>
#include <utility>

#include "errors.hpp"

namespace rbdxx::python {

namespace awaited {

namespace {

enum class State : char { pending, done, failed, cancelled };

struct Awaited {
    PyObject_HEAD PyObject* loop;
    // The first waiter, nearly always the only one, and a task. Both are null, or neither is.
    PyObject* callback;
    PyObject* context;
    PyObject* others;  // a list of (callback, context), or null
    PyObject* value;   // the value, the exception, or the argument of cancel(); or null
    State state;
    bool blocking;  // false for a task that gets this object by other means than `await`
};

// Returns a member and sets it to null.
PyObject* taken(PyObject*& member) {
    return std::exchange(member, nullptr);
}

Awaited* self_of(PyObject* object) {
    return reinterpret_cast<Awaited*>(object);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
    Awaited* self = self_of(object);
#if PY_VERSION_HEX >= 0x03090000
    Py_VISIT(Py_TYPE(object));
#endif
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->others);
    Py_VISIT(self->value);
    return 0;
}

int clear(PyObject* object) {
    Awaited* self = self_of(object);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->others);
    Py_CLEAR(self->value);
    return 0;
}

void destroy(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

// Raises one of asyncio's exceptions with this argument.
void raise_of_asyncio(const char* name, PyObject* argument) {
    PyObject* module = PyImport_ImportModule("asyncio");
    PyObject* type = module != nullptr ? PyObject_GetAttrString(module, name) : nullptr;
    Py_XDECREF(module);
    if (type == nullptr) {
        return;
    }
    if (argument == nullptr || argument == Py_None) {
        PyErr_SetNone(type);
    } else {
        PyErr_SetObject(type, argument);
    }
    Py_DECREF(type);
}

void raise_invalid(const char* text) {
    if (PyObject* message = PyUnicode_FromString(text)) {
        raise_of_asyncio("InvalidStateError", message);
        Py_DECREF(message);
    }
}

// Returns a new reference to the value, or null with the exception set.
PyObject* outcome(Awaited* self) {
    switch (self->state) {
        case State::done:
            Py_INCREF(self->value);
            return self->value;
        case State::failed:
            restore(self->value);
            return nullptr;
        case State::cancelled:
            raise_of_asyncio("CancelledError", self->value);
            return nullptr;
        case State::pending:
            break;
    }
    raise_invalid("Result is not set.");
    return nullptr;
}

// Calls loop.call_soon(callback, self, context=context). Returns false with the exception set if
// that fails.
bool call_soon(Awaited* self, PyObject* callback, PyObject* context) {
    PyObject* method = PyObject_GetAttrString(self->loop, "call_soon");
    PyObject* arguments = PyTuple_Pack(2, callback, reinterpret_cast<PyObject*>(self));
    PyObject* keywords = Py_BuildValue("{s:O}", "context", context);
    PyObject* handle = nullptr;
    if (method != nullptr && arguments != nullptr && keywords != nullptr) {
        handle = PyObject_Call(method, arguments, keywords);
    }
    Py_XDECREF(method);
    Py_XDECREF(arguments);
    Py_XDECREF(keywords);
    Py_XDECREF(handle);
    return handle != nullptr;
}

// Drops an exception of call_soon(): the loop is closed, so nobody runs its tasks any more. An
// exception that is not derived from Exception stays set.
void drop_exception() {
    if (PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(PyExc_Exception) != 0) {
        PyErr_Clear();
    }
}

// Schedules all waiters but the first in the loop.
void schedule_others(Awaited* self) {
    PyObject* others = taken(self->others);
    if (others == nullptr) {
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(others); ++i) {
        PyObject* one = PyList_GET_ITEM(others, i);
        if (!call_soon(self, PyTuple_GET_ITEM(one, 0), PyTuple_GET_ITEM(one, 1))) {
            drop_exception();
        }
    }
    Py_DECREF(others);
}

// Reports an exception of a callback as asyncio's handles do.
void report_to_loop(Awaited* self) {
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr) {
        PyException_SetTraceback(value, traceback);
    }
    PyObject* answer = nullptr;
    if (PyObject* context =
            Py_BuildValue("{s:s,s:O}", "message", "Exception in a callback", "exception", value)) {
        answer = PyObject_CallMethod(self->loop, "call_exception_handler", "O", context);
        Py_DECREF(context);
    }
    Py_XDECREF(answer);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

// Runs the callback now, in its context. The caller is in the loop's thread, and no task is
// running.
void run_now(Awaited* self, PyObject* callback, PyObject* context) {
    if (PyContext_Enter(context) != 0) {
        // The context has been entered already.
        PyErr_Clear();
        if (!call_soon(self, callback, context)) {
            drop_exception();
        }
        return;
    }
    PyObject* arguments[] = {nullptr, reinterpret_cast<PyObject*>(self)};
    PyObject* answer =
        PyObject_Vectorcall(callback, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    if (answer == nullptr && PyErr_ExceptionMatches(PyExc_Exception) != 0) {
        report_to_loop(self);
    }
    Py_XDECREF(answer);
    // An exception may be set here, as in Context.run().
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyContext_Exit(context) != 0) {
        PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
}

// The methods that a task and asyncio's functions call.

PyObject* add_done_callback(PyObject* object, PyObject* const* arguments, Py_ssize_t count,
                            PyObject* keywords) {
    Awaited* self = self_of(object);
    const Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
    if (count != 1 || named > 1 ||
        (named == 1 &&
         PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "context") != 0)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback() takes a callback and context=");
        return nullptr;
    }
    PyObject* context = named == 1 && arguments[1] != Py_None ? arguments[1] : nullptr;
    if (context == nullptr) {
        context = PyContext_CopyCurrent();
        if (context == nullptr) {
            return nullptr;
        }
    } else {
        Py_INCREF(context);
    }
    bool added = true;
    if (self->state != State::pending) {
        added = call_soon(self, arguments[0], context);
    } else if (self->callback == nullptr) {
        Py_INCREF(arguments[0]);
        Py_INCREF(context);
        self->callback = arguments[0];
        self->context = context;
    } else {
        if (self->others == nullptr) {
            self->others = PyList_New(0);
        }
        PyObject* one = self->others != nullptr ? PyTuple_Pack(2, arguments[0], context) : nullptr;
        added = one != nullptr && PyList_Append(self->others, one) == 0;
        Py_XDECREF(one);
    }
    Py_DECREF(context);
    if (!added) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* remove_done_callback(PyObject* object, PyObject* callback) {
    Awaited* self = self_of(object);
    Py_ssize_t removed = 0;
    if (self->callback != nullptr) {
        const int same = PyObject_RichCompareBool(self->callback, callback, Py_EQ);
        if (same < 0) {
            return nullptr;
        }
        if (same != 0) {
            Py_CLEAR(self->callback);
            Py_CLEAR(self->context);
            ++removed;
        }
    }
    for (Py_ssize_t i = 0; self->others != nullptr && i < PyList_GET_SIZE(self->others);) {
        PyObject* one = PyTuple_GET_ITEM(PyList_GET_ITEM(self->others, i), 0);
        const int same = PyObject_RichCompareBool(one, callback, Py_EQ);
        if (same < 0 || (same != 0 && PyList_SetSlice(self->others, i, i + 1, nullptr) != 0)) {
            return nullptr;
        }
        removed += same;
        i += 1 - same;
    }
    return PyLong_FromSsize_t(removed);
}

PyObject* cancel(PyObject* object, PyObject* const* arguments, Py_ssize_t count,
                 PyObject* keywords) {
    Awaited* self = self_of(object);
    const Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
    if (count + named > 1 || (named == 1 && PyUnicode_CompareWithASCIIString(
                                                PyTuple_GET_ITEM(keywords, 0), "msg") != 0)) {
        PyErr_SetString(PyExc_TypeError, "cancel() takes only the argument msg");
        return nullptr;
    }
    if (self->state != State::pending) {
        Py_RETURN_FALSE;
    }
    self->state = State::cancelled;
    if (count + named == 1) {
        Py_INCREF(arguments[0]);
        self->value = arguments[0];
    }
    // The callback does not run now, because a task may cancel another one in the middle of its own
    // step.
    PyObject* callback = taken(self->callback);
    PyObject* context = taken(self->context);
    const bool scheduled = callback == nullptr || call_soon(self, callback, context);
    Py_XDECREF(callback);
    Py_XDECREF(context);
    if (!scheduled) {
        return nullptr;
    }
    schedule_others(self);
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    Py_RETURN_TRUE;
}

PyObject* result(PyObject* object, PyObject*) {
    return outcome(self_of(object));
}

PyObject* exception(PyObject* object, PyObject*) {
    Awaited* self = self_of(object);
    if (self->state == State::failed) {
        Py_INCREF(self->value);
        return self->value;
    }
    if (self->state == State::done) {
        Py_RETURN_NONE;
    }
    return outcome(self);
}

PyObject* done(PyObject* object, PyObject*) {
    return PyBool_FromLong(self_of(object)->state != State::pending);
}

PyObject* cancelled(PyObject* object, PyObject*) {
    return PyBool_FromLong(self_of(object)->state == State::cancelled);
}

PyObject* get_loop(PyObject* object, PyObject*) {
    PyObject* loop = self_of(object)->loop;
    if (loop == nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "the object does not have an event loop any more");
        return nullptr;
    }
    Py_INCREF(loop);
    return loop;
}

PyObject* get_blocking(PyObject* object, void*) {
    return PyBool_FromLong(self_of(object)->blocking);
}

int set_blocking(PyObject* object, PyObject* value, void*) {
    if (value == nullptr) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    const int set = PyObject_IsTrue(value);
    if (set < 0) {
        return -1;
    }
    self_of(object)->blocking = set != 0;
    return 0;
}

// The object is its own iterator: the first step yields this object to the task, the second step
// ends.

PyObject* itself(PyObject* object) {
    Py_INCREF(object);
    return object;
}

// Returns what one step yields, or null. If it is null, `*ended` is the value, or null if an
// exception is set.
PyObject* step(PyObject* object, PyObject** ended) {
    Awaited* self = self_of(object);
    *ended = nullptr;
    if (self->state == State::pending) {
        if (!self->blocking) {
            self->blocking = true;
            Py_INCREF(object);
            return object;
        }
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return nullptr;
    }
    *ended = outcome(self);
    return nullptr;
}

PyObject* next(PyObject* object) {
    PyObject* ended = nullptr;
    PyObject* yielded = step(object, &ended);
    if (ended != nullptr) {
        // StopIteration gets an instance: CPython would take a bare tuple for the arguments.
        PyObject* stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, ended, nullptr);
        Py_DECREF(ended);
        if (stop != nullptr) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
    }
    return yielded;
}

#if PY_VERSION_HEX >= 0x030A0000
PySendResult send(PyObject* object, PyObject*, PyObject** answer) {
    PyObject* ended = nullptr;
    PyObject* yielded = step(object, &ended);
    if (yielded != nullptr) {
        *answer = yielded;
        return PYGEN_NEXT;
    }
    *answer = ended;
    return ended != nullptr ? PYGEN_RETURN : PYGEN_ERROR;
}
#endif

template <class Function>
PyCFunction method(Function function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"add_done_callback", method(add_done_callback), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"remove_done_callback", remove_done_callback, METH_O, nullptr},
    {"cancel", method(cancel), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"result", result, METH_NOARGS, nullptr},
    {"exception", exception, METH_NOARGS, nullptr},
    {"done", done, METH_NOARGS, nullptr},
    {"cancelled", cancelled, METH_NOARGS, nullptr},
    {"get_loop", get_loop, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef properties[] = {
    {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

template <class Function>
void* slot(Function function) {
    return reinterpret_cast<void*>(function);
}

PyType_Slot slots[] = {
    {Py_tp_dealloc, slot(destroy)},
    {Py_tp_traverse, slot(traverse)},
    {Py_tp_clear, slot(clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_iter, slot(itself)},
    {Py_tp_iternext, slot(next)},
    {Py_am_await, slot(itself)},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, slot(send)},
#endif
    {0, nullptr},
};

PyType_Spec spec = {"rbd._core._Awaited", sizeof(Awaited), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

}  // namespace

py::object make(const py::object& type, const py::object& loop) {
    auto* raw = reinterpret_cast<PyTypeObject*>(type.ptr());
    auto* self = self_of(checked(PyType_GenericAlloc(raw, 0)).release().ptr());
    self->loop = loop.inc_ref().ptr();
    return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(self));
}

bool is(const py::object& object) noexcept {
    return Py_TYPE(object.ptr())->tp_dealloc == destroy;
}

bool pending(const py::object& object) noexcept {
    return self_of(object.ptr())->state == State::pending;
}

void resolve(const py::object& object, py::object value, bool failed) noexcept {
    Awaited* self = self_of(object.ptr());
    if (self->state != State::pending) {
        return;
    }
    self->state = failed ? State::failed : State::done;
    self->value = value.release().ptr();
    schedule_others(self);
    PyObject* callback = taken(self->callback);
    PyObject* context = taken(self->context);
    if (callback != nullptr) {
        if (PyErr_Occurred() == nullptr) {
            run_now(self, callback, context);
        }
        Py_DECREF(callback);
        Py_DECREF(context);
    }
}

}  // namespace awaited

void bind_awaited(py::module_& m) {
    m.attr("_Awaited") = sealed_type(awaited::spec);
}

}  // namespace rbdxx::python
