#include <rbdxx/mirror.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/foreign.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// Calls `call` with a connection of ours or the stock module's.
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
        "What the cluster is called among those that mirror each other; its fsid where it was\n"
        "never set.\n\nImplements: rbd_mirror_site_name_get",
        py::arg("rados"));
    define(
        rbd, "mirror_site_name_set",
        [](const Rbd&, const py::object& rados, const Name& site_name) {
            with_cluster(rados, [&](const auto& on) { mirror::set_site_name(on, site_name); });
        },
        "Names the cluster; '' takes the name away.\n\nImplements: rbd_mirror_site_name_set",
        py::arg("rados"), py::arg("site_name"));
    define(
        rbd, "mirror_mode_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return without_gil([&] { return mirror::mode(ioctx); });
        },
        "RBD_MIRROR_MODE_*.\n\nImplements: rbd_mirror_mode_get", py::arg("ioctx"));
    define(
        rbd, "mirror_mode_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Flags& mirror_mode) {
            without_gil([&] { mirror::set_mode(ioctx, mirror_mode); });
        },
        "What of the pool is mirrored: RBD_MIRROR_MODE_*.\n\n"
        "Raises InvalidArgument; ImageBusy where images are mirrored still.\n\n"
        "Implements: rbd_mirror_mode_set",
        py::arg("ioctx"), py::arg("mirror_mode"));
    define_gated(
        rbd, "rbd_mirror_uuid_get", "mirror_uuid_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return mirror::uuid(ioctx); }));
        },
        "What other sites call this pool.\n\nRaises ImageNotFound where it was never mirrored.\n\n"
        "Implements: rbd_mirror_uuid_get",
        py::arg("ioctx"));
    define_gated(
        rbd, "rbd_mirror_remote_namespace_get", "mirror_remote_namespace_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return mirror::remote_namespace(ioctx); }));
        },
        "The namespace on the other site that the ioctx's namespace is mirrored with.\n\n"
        "Implements: rbd_mirror_remote_namespace_get",
        py::arg("ioctx"));
    define_gated(
        rbd, "rbd_mirror_remote_namespace_set", "mirror_remote_namespace_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& remote_namespace) {
            without_gil([&] { mirror::set_remote_namespace(ioctx, remote_namespace); });
        },
        "Sets it; while the namespace is not mirrored.\n\nRaises InvalidArgument.\n\n"
        "Implements: rbd_mirror_remote_namespace_set",
        py::arg("ioctx"), py::arg("remote_namespace"));
}

}  // namespace rbdxx::python
