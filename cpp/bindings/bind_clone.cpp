#include <pybind11/stl.h>

#include <rbdxx/clone.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/options.hpp"

namespace rbdxx::python {

namespace {

// The parent's snapshot is a name or (from Ceph 20 on) an id.
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
            define(rbd, "clone", function,
                   R"(Create an image that shares its data with a snapshot of another image.

The clone reads from its parent what it has not written itself. `Image.flatten` ends that.

Parameters
----------
p_ioctx
    The parent's pool, with its namespace.
p_name
    The name of the parent image.
p_snapshot
    The parent's snapshot: its name or, from Ceph 20 on, its id. The keyword may be
    `p_snapname`, too.
c_ioctx
    The clone's pool, with its namespace.
c_name
    The name of the clone.
features
    As in `create`. None means the parent's.
order
    As in `create`. None and 0 mean the parent's.
stripe_unit
    As in `create`.
stripe_count
    As in `create`.
data_pool
    As in `create`.
clone_format
    1 for a clone whose snapshot must be protected, 2 for one whose snapshot need not be. None
    leaves it to the cluster.

Raises
------
ImageNotFound
    There is no such parent or snapshot.
ImageExists
    There is an image `c_name`.
InvalidArgument
    The snapshot is not protected but has to be, the parent has no layering, or an option makes
    no sense.

Examples
--------
>>> with rbd.Image(ioctx, "base") as base:
...     base.create_snap("golden")
...     base.protect_snap("golden")
>>> rbd.RBD().clone(ioctx, "base", "golden", ioctx, "vm1")

Implements: rbd_clone3, rbd_clone4)",
                   arguments...);
        },
        "p_snapshot");
    // The ctypes module, the first of this name, called the parameter so. It is not documented,
    // because help() shows one form.
    define_form(
        [&](auto function, const auto&... arguments) { rbd.def("clone", function, arguments...); },
        "p_snapname");
}

}  // namespace rbdxx::python
