#include "completion.hpp"

#include <string>

#include "errors.hpp"
#include "gil.hpp"

namespace rbdxx::python {

Completion::Completion() : callbacks_(&Callbacks::get()) {}

bool Completion::again() noexcept {
    if (!write_) {
        return false;
    }
    const engine::QueuePointer& queue = callbacks_->queue();
    const Image& image = owner_.cast<const PyImage&>().get();
    return recovery_.again(*this, queue, image,
                           [&] { without_gil([&] { write_(queue, image); }); });
}

void Completion::deliver() noexcept {
    if (again()) {
        return;
    }
    // Dropped last, because this may be the only reference to the completion.
    py::object self = std::move(self_);
    try {
        py::object extra = answer();
        if (callback_ && extra) {
            callback_(self, extra);
        } else if (callback_) {
            callback_(self);
        }
    } catch (...) {
        exception_ = current_exception();
    }
    // A close that waits for this call must find that the callback has run.
    if (handle() != nullptr && handle()->closed()) {
        without_gil([&] { finish(); });
    } else {
        finish();
    }
    // The callback may refer to the image, and dropping the last reference destroys the image.
    py::object callback = std::move(callback_);
    py::object owner = std::move(owner_);
    release();
    delivered_.store(true);
    callbacks_->notify();
}

void Completion::wait() {
    callbacks_->wait(delivered_, *this, [this] {
        return py::isinstance<PyImage>(owner_) && owner_.cast<PyImage&>().disconnected();
    });
    if (delivered_.load() && exception_) {
        throw_error(exception_);
    }
}

int Completion::traverse(visitproc visit, void* arg) const {
    // A frame of the exception's traceback refers to the completion.
    Py_VISIT(owner_.ptr());
    Py_VISIT(callback_.ptr());
    Py_VISIT(exception_.ptr());
    return 0;
}

void Completion::clear() {
    py::object owner = std::move(owner_);
    py::object callback = std::move(callback_);
    py::object exception = std::move(exception_);
}

py::object submit(std::unique_ptr<Completion> completion, const py::object& owner,
                  const py::object& callback, const std::function<void()>& call) {
    if (!callback.is_none() && PyCallable_Check(callback.ptr()) == 0) {
        throw py::type_error("oncomplete must be callable or None, not " +
                             std::string(Py_TYPE(callback.ptr())->tp_name));
    }
    Completion& raw = *completion;
    py::object self = py::cast(std::move(completion));
    if (!callback.is_none()) {
        raw.callback_ = callback;
    }
    raw.owner_ = owner;
    raw.self_ = self;
    try {
        call();
    } catch (...) {
        raw.clear();
        raw.release();
        raw.self_ = py::object();
        throw;
    }
    return self;
}

py::object submit_write(std::unique_ptr<Completion> completion, const py::object& self,
                        const py::object& oncomplete, Completion::Write write) {
    completion->write_ = std::move(write);
    completion->recovery_.prepare(self.cast<const PyImage&>().get());
    return submit_on(std::move(completion), self, oncomplete,
                     [](Completion& made, engine::QueuePointer queue, const Image& image) {
                         made.write_(std::move(queue), image);
                     });
}

}  // namespace rbdxx::python
