#include "current_loop.hpp"

#include "errors.hpp"

namespace rbdxx::python {

namespace {

// Returns what a weak reference refers to; null if that is gone.
py::object referent(const py::object& weak) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* found = nullptr;
    PyWeakref_GetRef(weak.ptr(), &found);
    return py::reinterpret_steal<py::object>(found);
#else
    PyObject* found = PyWeakref_GetObject(weak.ptr());
    return found == Py_None ? py::object() : py::reinterpret_borrow<py::object>(found);
#endif
}

}  // namespace

CurrentLoop::CurrentLoop(py::object queue_of)
    : queue_of_(std::move(queue_of)),
      get_running_loop_(py::module_::import("asyncio").attr("get_running_loop")),
      create_future_(checked(PyUnicode_InternFromString("create_future"))),
      awaited_(py::module_::import("rbd._core").attr("_Awaited")) {}

CurrentLoop::Here CurrentLoop::here(Handle& handle) {
    if (handle.forked()) {
        // Throws before this takes a lock that another thread may have held when this process was
        // forked.
        handle.enter();
    }
    Here found;
    found.loop = checked(PyObject_CallNoArgs(get_running_loop_.ptr()));
    // Dropped without the lock, because dropping the last reference to a loop runs Python code.
    py::object last;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (last_queue_ != nullptr) {
            last = referent(last_loop_);
            found.owner = referent(last_owner_);
            found.queue = last_queue_;
        }
    }
    if (found.owner && last.is(found.loop)) {
        return found;
    }
    found.owner = queue_of_(found.loop);
    found.queue = &found.owner.cast<LoopQueue&>();
    py::object loop = py::weakref(found.loop);
    py::object owner = py::weakref(found.owner);
    {
        std::lock_guard<std::mutex> lock(mutex_);
        std::swap(last_loop_, loop);
        std::swap(last_owner_, owner);
        last_queue_ = found.queue;
    }
    // The former references are dropped here, without the lock.
    return found;
}

py::object CurrentLoop::future_of(const Here& here) const {
    PyObject* arguments[] = {here.loop.ptr()};
    return checked(PyObject_VectorcallMethod(create_future_.ptr(), arguments, 1, nullptr));
}

}  // namespace rbdxx::python
