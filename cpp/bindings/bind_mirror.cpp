#include <rbdxx/mirror.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/foreign.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// Calls `call` with a connection of this module or of the stock module.
template <class Call>
auto with_cluster(const py::object& rados, const Call& call) {
    if (py::isinstance<Cluster>(rados)) {
        auto cluster = rados.cast<Cluster>();
        return without_gil([&] {
            cluster.require(ConnectionState::connected);
            return call(cluster);
        });
    }
    abi::rados_t raw = foreign_cluster(rados);
    return without_gil([&] { return call(raw); });
}

}  // namespace

void bind_mirror(RbdClass& rbd) {
    define(
        rbd, "mirror_site_name_get",
        [](const Rbd&, const py::object& rados) {
            return text(with_cluster(rados, [](const auto& on) { return mirror::site_name(on); }));
        },
        R"(Return the name of this cluster among those that mirror each other.

Parameters
----------
rados
    The connection: an `rbd.rados.Rados` or the stock module's.

Returns
-------
The name; the cluster's fsid if it was never set.

Implements: rbd_mirror_site_name_get)",
        py::arg("rados"));
    define(
        rbd, "mirror_site_name_set",
        [](const Rbd&, const py::object& rados, const Name& site_name) {
            with_cluster(rados, [&](const auto& on) { mirror::set_site_name(on, site_name); });
        },
        R"(Name this cluster among those that mirror each other.

Parameters
----------
rados
    The connection: an `rbd.rados.Rados` or the stock module's.
site_name
    The name; '' removes it.

Implements: rbd_mirror_site_name_set)",
        py::arg("rados"), py::arg("site_name"));
    define(
        rbd, "mirror_mode_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return without_gil([&] { return mirror::mode(ioctx); });
        },
        R"(Return what of the pool is mirrored.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
One of `RBD_MIRROR_MODE_*`.

Implements: rbd_mirror_mode_get)",
        py::arg("ioctx"));
    define(
        rbd, "mirror_mode_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Flags& mirror_mode) {
            without_gil([&] { mirror::set_mode(ioctx, mirror_mode); });
        },
        R"(Set what of the pool is mirrored.

Parameters
----------
ioctx
    The pool, with its namespace.
mirror_mode
    One of `RBD_MIRROR_MODE_*`.

Raises
------
InvalidArgument
    librbd does not know the mode.
ImageBusy
    Images of the pool are still mirrored.

Implements: rbd_mirror_mode_set)",
        py::arg("ioctx"), py::arg("mirror_mode"));
    define_gated(
        rbd, "rbd_mirror_uuid_get", "mirror_uuid_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return mirror::uuid(ioctx); }));
        },
        R"(Return what other sites call this pool.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
The uuid.

Raises
------
ImageNotFound
    The pool was never mirrored.

Implements: rbd_mirror_uuid_get)",
        py::arg("ioctx"));
    define_gated(
        rbd, "rbd_mirror_remote_namespace_get", "mirror_remote_namespace_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return mirror::remote_namespace(ioctx); }));
        },
        R"(Return the namespace on the other site that the namespace of `ioctx` is mirrored with.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
The name of the namespace.

Implements: rbd_mirror_remote_namespace_get)",
        py::arg("ioctx"));
    define_gated(
        rbd, "rbd_mirror_remote_namespace_set", "mirror_remote_namespace_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& remote_namespace) {
            without_gil([&] { mirror::set_remote_namespace(ioctx, remote_namespace); });
        },
        R"(Set the namespace on the other site that the namespace of `ioctx` is mirrored with.

Parameters
----------
ioctx
    The pool, with its namespace.
remote_namespace
    The name of the other site's namespace.

Raises
------
InvalidArgument
    The namespace is mirrored already.

Implements: rbd_mirror_remote_namespace_set)",
        py::arg("ioctx"), py::arg("remote_namespace"));
}

}  // namespace rbdxx::python
