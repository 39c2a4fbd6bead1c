#include <algorithm>

#include "rados/bindings.hpp"
#include "support/bindings.hpp"
#include "support/interpreters.hpp"

namespace rbdxx::python {

namespace {

// pybind11 calls this to get memory if a method receives an object whose __init__ never ran. It
// would then read that memory as the value.
void* refuse_unmade(std::size_t) {
    throw py::type_error("__init__() of the object was not called");
}

// pickle's protocols 0 and 1 call the first base that C has made, which is pybind11's own and would
// end the process. Protocol 2 asks the class itself.
py::cpp_function new_protocols(const py::handle& type) {
    auto reduce =
        py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(&PyBaseObject_Type))
            .attr("__reduce_ex__");
    return {[reduce = py::object(reduce)](const py::object& self, int protocol) {
                return reduce(self, std::max(protocol, 2));
            },
            py::name("__reduce_ex__"), py::is_method(type)};
}

// Mends where a class of pybind11 would end the process.
void make_classes_safe(const py::handle& m) {
    for (auto [name, value] : py::reinterpret_borrow<py::dict>(m.attr("__dict__"))) {
        if (PyType_Check(value.ptr()) == 0) {
            continue;
        }
        auto* known = py::detail::get_type_info(reinterpret_cast<PyTypeObject*>(value.ptr()));
        if (known != nullptr) {
            known->operator_new = refuse_unmade;
            py::setattr(value, "__reduce_ex__", new_protocols(value));
        }
    }
}

// A table of contents: each name of rbd._core is defined and explained in the file of its topic.
void contents(py::module_& m) {
    // define() composes the signatures, in the form that inspect reads.
    py::options options;
    options.disable_function_signatures();

    bind_errors(m);
    bind_constants(m);
    bind_library(m);
    rados::contents(m);

    // The classes come before their methods, because signatures name each other's types.
    RbdClass rbd(m, "RBD",
                 "The calls on the images of a pool. It holds nothing; each call takes the pool's "
                 "I/O context.",
                 py::dynamic_attr());
    ImageClass image(m, "Image", "An open image. It is a context manager, which closes it.");

    bind_images(m, rbd);
    bind_clone(rbd);
    bind_image(image);
    bind_io(image);
    bind_batch(image);
    bind_aio(m);
    bind_completion(m, rbd, image);
    bind_snapshot(m, image);
    bind_snapshot_namespace(image);
    bind_parent(image);
    bind_children(m, image);
    bind_copy(image);
    bind_trash(m, rbd);
    bind_migration(rbd, image);
    bind_metadata(m, rbd, image);
    bind_config(m, rbd, image);
    bind_pool(rbd);
    bind_namespaces(rbd);
    bind_features(rbd);
    bind_diff(m, image);
    bind_capsule(image);
    bind_lock(m, image);
    bind_watch(m, image);
    bind_group(m, rbd, image);
    bind_encryption(image);
    bind_mirror(rbd);
    bind_peers(m, rbd);
    bind_mirrored(m, rbd);
    bind_mirror_image(image);
    bind_files(image);
    bind_plot(image);
    bind_pipeline(m);
    bind_records(m);
    bind_merge(m);
    make_classes_safe(m);
    make_classes_safe(m.attr("rados"));
}

}  // namespace

}  // namespace rbdxx::python

#if PY_VERSION_HEX >= 0x030C0000
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used(),
                pybind11::multiple_interpreters::shared_gil()) {
    rbdxx::python::contents(m);
}
#else
// NOLINTNEXTLINE(bugprone-reserved-identifier): CPython chooses the name
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
    return rbdxx::python::shared_module("rbd._core", rbdxx::python::contents);
}
#endif
