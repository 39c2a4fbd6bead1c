#include <pybind11/stl.h>

#include <rbdxx/clone.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/options.hpp"

namespace rbdxx::python {

namespace {

// The parent's snapshot is a name, or (Ceph 20) an id.
void clone_image(const Rbd&, const IoCtxArgument& p_ioctx, const Name& p_name,
                 const py::object& p_snapshot, const IoCtxArgument& c_ioctx, const Name& c_name,
                 const std::optional<U64>& features, const std::optional<U64>& order,
                 const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
                 const std::optional<Name>& data_pool, const std::optional<U64>& clone_format) {
    ImageOptions options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    options.clone_format = clone_format_option(clone_format);
    if (PyLong_Check(p_snapshot.ptr())) {
        uint64_t id = convert_u64(p_snapshot);
        without_gil([&] { clone::create_from_id(p_ioctx, p_name, id, c_ioctx, c_name, options); });
        return;
    }
    std::string snapshot = convert_name(p_snapshot);
    without_gil([&] { clone::create(p_ioctx, p_name, snapshot, c_ioctx, c_name, options); });
}

template <class Define>
void define_form(const Define& define_with, const char* snapshot) {
    define_with(clone_image, py::arg("p_ioctx"), py::arg("p_name"), py::arg(snapshot),
                py::arg("c_ioctx"), py::arg("c_name"), py::arg("features") = py::none(),
                py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
                py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(),
                py::arg("clone_format") = py::none());
}

}  // namespace

void bind_clone(RbdClass& rbd) {
    define_form(
        [&](auto function, const auto&... arguments) {
            define(
                rbd, "clone", function,
                "Clones the parent image at a snapshot (a name, or with Ceph 20 an id) into a new "
                "image.\n\n"
                "clone_format: 1 needs a protected snapshot, 2 does not; None leaves it to the "
                "cluster.\n"
                "The other options are as in create(). Raises ImageNotFound, ImageExists, "
                "InvalidArgument.\n\n"
                "Implements: rbd_clone3, rbd_clone4",
                arguments...);
        },
        "p_snapshot");
    // The first module of this name called the parameter so. Not documented: help() shows one form.
    define_form(
        [&](auto function, const auto&... arguments) { rbd.def("clone", function, arguments...); },
        "p_snapname");
}

}  // namespace rbdxx::python
