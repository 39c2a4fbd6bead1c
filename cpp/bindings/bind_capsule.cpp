#include <rbdxx/capsule.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// Returns an owner of a Python object that a borrower may drop from a thread without the GIL.
std::shared_ptr<void> keep(const py::object& object) {
    if (!object) {
        return nullptr;
    }
    return {object.inc_ref().ptr(), [](void* kept) {
                // After the interpreter's end, there is no reference count left to change.
                if (Py_IsInitialized() != 0) {
                    with_gil([&] { Py_DECREF(static_cast<PyObject*>(kept)); });
                }
            }};
}

void drop(PyObject* capsule) {
    auto* lent = static_cast<rbdxx_image_v1*>(PyCapsule_GetPointer(capsule, RBDXX_IMAGE_CAPSULE));
    capsule::drop(lent);
}

}  // namespace

void bind_capsule(ImageClass& image) {
    define(
        image, "__rbdxx_image__",
        [](const PyImage& self) {
            rbdxx_image_v1* lent = capsule::lend(self.get(), keep(self.ioctx().connection));
            PyObject* made = PyCapsule_New(lent, RBDXX_IMAGE_CAPSULE, drop);
            if (made == nullptr) {
                capsule::drop(lent);
                throw py::error_already_set();
            }
            return py::reinterpret_steal<py::object>(made);
        },
        "A capsule \"rbdxx.image.v1\", through which another extension uses the open image.\n\n"
        "The header rbdxx/capsule.hpp describes it. Raises InvalidArgument if the image is "
        "closed.");
}

}  // namespace rbdxx::python
