#include <pybind11/stl.h>

#include <rbdxx/constants.hpp>
#include <rbdxx/mirror.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "foreign.hpp"
#include "gil.hpp"
#include "listing.hpp"
#include "mirroring.hpp"

namespace rbdxx::python {

namespace {

struct MirrorPeerIterator : Listing {};

py::list list_peers(const IoCtxArgument& ioctx) {
    auto peers = without_gil([&] { return mirror::peers(ioctx); });
    py::list dicts;
    for (const auto& peer : peers) {
        py::dict dict;
        dict["uuid"] = text(peer.uuid);
        dict["direction"] = peer.direction;
        dict["site_name"] = text(peer.site_name);
        // What the peer's site was called before Ceph 16.
        dict["cluster_name"] = text(peer.site_name);
        dict["mirror_uuid"] = text(peer.mirror_uuid);
        dict["client_name"] = text(peer.client_name);
        dicts.append(dict);
    }
    return dicts;
}

// Calls `call` with a connection of ours or the stock module's.
template <class Call>
auto with_cluster(const py::object& rados, const Call& call) {
    if (py::isinstance(rados, py::module_::import("rbd.rados").attr("Rados"))) {
        rados.attr("require_state")("connected");
        auto cluster = rados.attr("_cluster").cast<Cluster>();
        return without_gil([&] { return call(cluster); });
    }
    abi::rados_t raw = foreign_cluster(rados);
    return without_gil([&] { return call(raw); });
}

void define_site(RbdClass& rbd) {
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

void define_peers(py::module_& m, RbdClass& rbd) {
    define(
        rbd, "mirror_peer_bootstrap_create",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return mirror::create_token(ioctx); }));
        },
        "A token with which another cluster can make this one its peer. It holds a key: keep it\n"
        "secret.\n\nRaises InvalidArgument where the pool's mirroring is disabled.\n\n"
        "Implements: rbd_mirror_peer_bootstrap_create",
        py::arg("ioctx"));
    define(
        rbd, "mirror_peer_bootstrap_import",
        [](const Rbd&, const IoCtxArgument& ioctx, const Flags& direction, const Name& token) {
            without_gil([&] { mirror::import_token(ioctx, direction, token); });
        },
        "Makes the cluster that made the token a peer, and this one that one's.\n\n"
        "direction: RBD_MIRROR_PEER_DIRECTION_*. Raises InvalidArgument.\n\n"
        "Implements: rbd_mirror_peer_bootstrap_import",
        py::arg("ioctx"), py::arg("direction"), py::arg("token"));
    define(
        rbd, "mirror_peer_add",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& site_name, const Name& client_name,
           const Flags& direction) {
            return text(without_gil(
                [&] { return mirror::add_peer(ioctx, site_name, client_name, direction); }));
        },
        "Adds a peer; gives its uuid.\n\n"
        "client_name: who to connect as, 'client.x'. direction: RBD_MIRROR_PEER_DIRECTION_*;\n"
        "before Ceph 16 only the default. Raises ImageExists, InvalidArgument.\n\n"
        "Implements: rbd_mirror_peer_site_add, rbd_mirror_peer_add",
        py::arg("ioctx"), py::arg("site_name"), py::arg("client_name"),
        py::arg("direction") = static_cast<int>(constants::MIRROR_PEER_DIRECTION_RX_TX));
    define(
        rbd, "mirror_peer_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid) {
            without_gil([&] { mirror::remove_peer(ioctx, uuid); });
        },
        "Removes a peer; one that is not there is no error.\n\n"
        "Implements: rbd_mirror_peer_site_remove, rbd_mirror_peer_remove",
        py::arg("ioctx"), py::arg("uuid"));
    define(
        rbd, "mirror_peer_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("MirrorPeerIterator")(ioctx); },
        "The pool's peers, as an iterator of dicts.\n\n"
        "Implements: rbd_mirror_peer_site_list, rbd_mirror_peer_list",
        py::arg("ioctx"));
    auto set_name = [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Name& name) {
        without_gil([&] { mirror::set_peer_name(ioctx, uuid, name); });
    };
    define(
        rbd, "mirror_peer_set_client",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Name& client_name) {
            without_gil([&] { mirror::set_peer_client(ioctx, uuid, client_name); });
        },
        "Changes the client name of a peer.\n\nRaises ImageNotFound.\n\n"
        "Implements: rbd_mirror_peer_site_set_client_name, rbd_mirror_peer_set_client",
        py::arg("ioctx"), py::arg("uuid"), py::arg("client_name"));
    define(rbd, "mirror_peer_set_name", set_name,
           "Changes the site name of a peer.\n\n"
           "Raises ImageNotFound; ImageExists where a peer has that name.\n\n"
           "Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster",
           py::arg("ioctx"), py::arg("uuid"), py::arg("site_name"));
    define(rbd, "mirror_peer_set_cluster", set_name,
           "mirror_peer_set_name() by its older name.\n\n"
           "Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster",
           py::arg("ioctx"), py::arg("uuid"), py::arg("cluster_name"));
    define_gated(
        rbd, "rbd_mirror_peer_site_set_direction", "mirror_peer_set_direction",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Flags& direction) {
            without_gil([&] { mirror::set_peer_direction(ioctx, uuid, direction); });
        },
        "Changes the direction of a peer: RBD_MIRROR_PEER_DIRECTION_*.\n\n"
        "Raises ImageNotFound, InvalidArgument.\n\n"
        "Implements: rbd_mirror_peer_site_set_direction",
        py::arg("ioctx"), py::arg("uuid"), py::arg("direction"));
}

void define_attributes(RbdClass& rbd) {
    define(
        rbd, "mirror_peer_get_attributes",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid) {
            auto pairs = without_gil([&] { return mirror::peer_attributes(ioctx, uuid); });
            py::dict dict;
            for (const auto& [key, value] : pairs) {
                dict[text(key)] = text(value);
            }
            return dict;
        },
        "How to reach a peer: a dict with RBD_MIRROR_PEER_ATTRIBUTE_NAME_* as keys.\n\n"
        "Raises ImageNotFound, also where none were ever set.\n\n"
        "Implements: rbd_mirror_peer_site_get_attributes, rbd_mirror_peer_get_attributes",
        py::arg("ioctx"), py::arg("uuid"));
    define(
        rbd, "mirror_peer_set_attributes",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const py::dict& attributes) {
            mirror::Attributes pairs;
            for (const auto& [key, value] : attributes) {
                pairs.emplace_back(convert_name(key), convert_name(value));
            }
            without_gil([&] { mirror::set_peer_attributes(ioctx, uuid, pairs); });
        },
        "Sets all attributes of a peer, from a dict of str.\n\nRaises ImageNotFound.\n\n"
        "Implements: rbd_mirror_peer_site_set_attributes, rbd_mirror_peer_set_attributes",
        py::arg("ioctx"), py::arg("uuid"), py::arg("attributes"));
}

}  // namespace

void bind_mirror(py::module_& m, RbdClass& rbd) {
    bind_listing<MirrorPeerIterator, const IoCtxArgument&>(
        m, "MirrorPeerIterator", list_peers,
        "The pool's peers, each a dict of uuid, direction (RBD_MIRROR_PEER_DIRECTION_*), "
        "site_name, cluster_name (the same), mirror_uuid and client_name. Implements: "
        "rbd_mirror_peer_site_list, rbd_mirror_peer_list",
        py::arg("ioctx"));
    define_site(rbd);
    define_peers(m, rbd);
    define_attributes(rbd);
    bind_mirrored(m, rbd);
}

}  // namespace rbdxx::python
