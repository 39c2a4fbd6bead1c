#include <rbdxx/constants.hpp>
#include <rbdxx/peers.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"

namespace rbdxx::python {

namespace {

struct MirrorPeerIterator : Listing {};

py::list list_peers(const IoCtxArgument& ioctx) {
    auto found = without_gil([&] { return peers::list(ioctx); });
    py::list dicts;
    for (const auto& peer : found) {
        py::dict dict;
        dict["uuid"] = text(peer.uuid);
        dict["direction"] = peer.direction;
        dict["site_name"] = text(peer.site_name);
        // The name of the same field before Ceph 16.
        dict["cluster_name"] = text(peer.site_name);
        dict["mirror_uuid"] = text(peer.mirror_uuid);
        dict["client_name"] = text(peer.client_name);
        dicts.append(dict);
    }
    return dicts;
}

void define_peers(py::module_& m, RbdClass& rbd) {
    define(
        rbd, "mirror_peer_bootstrap_create",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            return text(without_gil([&] { return peers::create_token(ioctx); }));
        },
        R"(Return a token with which another cluster can make this one its peer.

The token contains a key: keep it secret.

Parameters
----------
ioctx
    The pool.

Returns
-------
The token.

Raises
------
InvalidArgument
    Mirroring of the pool is disabled.

Implements: rbd_mirror_peer_bootstrap_create)",
        py::arg("ioctx"));
    define(
        rbd, "mirror_peer_bootstrap_import",
        [](const Rbd&, const IoCtxArgument& ioctx, const Flags& direction, const Name& token) {
            without_gil([&] { peers::import_token(ioctx, direction, token); });
        },
        R"(Make the cluster that created a token a peer of this one, and this one a peer of that cluster.

Parameters
----------
ioctx
    The pool.
direction
    One of `RBD_MIRROR_PEER_DIRECTION_*`.
token
    The token.

Raises
------
InvalidArgument
    The token is damaged, or the direction is not one of those.

Implements: rbd_mirror_peer_bootstrap_import)",
        py::arg("ioctx"), py::arg("direction"), py::arg("token"));
    define(
        rbd, "mirror_peer_add",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& site_name, const Name& client_name,
           const Flags& direction) {
            return text(
                without_gil([&] { return peers::add(ioctx, site_name, client_name, direction); }));
        },
        R"(Add a peer.

Parameters
----------
ioctx
    The pool.
site_name
    The name of the peer's cluster.
client_name
    The client to connect as, such as 'client.mirror'.
direction
    One of `RBD_MIRROR_PEER_DIRECTION_*`; before Ceph 16, only the default.

Returns
-------
The uuid of the peer.

Raises
------
ImageExists
    There is such a peer.
InvalidArgument
    An argument makes no sense.

Implements: rbd_mirror_peer_site_add, rbd_mirror_peer_add)",
        py::arg("ioctx"), py::arg("site_name"), py::arg("client_name"),
        py::arg("direction") = static_cast<int>(constants::MIRROR_PEER_DIRECTION_RX_TX));
    define(
        rbd, "mirror_peer_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid) {
            without_gil([&] { peers::remove(ioctx, uuid); });
        },
        R"(Remove a peer. No error is raised if there is no such peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.

Implements: rbd_mirror_peer_site_remove, rbd_mirror_peer_remove)",
        py::arg("ioctx"), py::arg("uuid"));
    define(
        rbd, "mirror_peer_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("MirrorPeerIterator")(ioctx); },
        R"(Iterate over the pool's peers.

Parameters
----------
ioctx
    The pool.

Returns
-------
An iterator of dicts of `uuid`, `direction` (`RBD_MIRROR_PEER_DIRECTION_*`), `site_name`,
`cluster_name`, `mirror_uuid` and `client_name`.

Implements: rbd_mirror_peer_site_list, rbd_mirror_peer_list)",
        py::arg("ioctx"));
    auto set_name = [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Name& name) {
        without_gil([&] { peers::set_name(ioctx, uuid, name); });
    };
    define(
        rbd, "mirror_peer_set_client",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Name& client_name) {
            without_gil([&] { peers::set_client(ioctx, uuid, client_name); });
        },
        R"(Change the client name of a peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.
client_name
    The client to connect as.

Raises
------
ImageNotFound
    There is no such peer.

Implements: rbd_mirror_peer_site_set_client_name, rbd_mirror_peer_set_client)",
        py::arg("ioctx"), py::arg("uuid"), py::arg("client_name"));
    define(rbd, "mirror_peer_set_name", set_name,
           R"(Change the site name of a peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.
site_name
    The name of the peer's cluster.

Raises
------
ImageNotFound
    There is no such peer.
ImageExists
    Another peer has that name.

Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster)",
           py::arg("ioctx"), py::arg("uuid"), py::arg("site_name"));
    define(rbd, "mirror_peer_set_cluster", set_name,
           R"(Change the site name of a peer: `mirror_peer_set_name` under its older name.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.
cluster_name
    The name of the peer's cluster.

Raises
------
ImageNotFound
    There is no such peer.
ImageExists
    Another peer has that name.

Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster)",
           py::arg("ioctx"), py::arg("uuid"), py::arg("cluster_name"));
    define_gated(
        rbd, "rbd_mirror_peer_site_set_direction", "mirror_peer_set_direction",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const Flags& direction) {
            without_gil([&] { peers::set_direction(ioctx, uuid, direction); });
        },
        R"(Change the direction of a peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.
direction
    One of `RBD_MIRROR_PEER_DIRECTION_*`.

Raises
------
ImageNotFound
    There is no such peer.
InvalidArgument
    `direction` is not one of those.

Implements: rbd_mirror_peer_site_set_direction)",
        py::arg("ioctx"), py::arg("uuid"), py::arg("direction"));
}

void define_attributes(RbdClass& rbd) {
    define(
        rbd, "mirror_peer_get_attributes",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid) {
            auto pairs = without_gil([&] { return peers::attributes(ioctx, uuid); });
            py::dict dict;
            for (const auto& [key, value] : pairs) {
                dict[text(key)] = text(value);
            }
            return dict;
        },
        R"(Return how to reach a peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.

Returns
-------
A dict with `RBD_MIRROR_PEER_ATTRIBUTE_NAME_*` as keys.

Raises
------
ImageNotFound
    There is no such peer, or its attributes were never set.

Implements: rbd_mirror_peer_site_get_attributes, rbd_mirror_peer_get_attributes)",
        py::arg("ioctx"), py::arg("uuid"));
    define(
        rbd, "mirror_peer_set_attributes",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& uuid, const py::dict& attributes) {
            peers::Attributes pairs;
            for (const auto& [key, value] : attributes) {
                pairs.emplace_back(convert_name(key), convert_name(value));
            }
            without_gil([&] { peers::set_attributes(ioctx, uuid, pairs); });
        },
        R"(Set all attributes of a peer.

Parameters
----------
ioctx
    The pool.
uuid
    The uuid of the peer.
attributes
    A dict with `RBD_MIRROR_PEER_ATTRIBUTE_NAME_*` as keys.

Raises
------
ImageNotFound
    There is no such peer.

Implements: rbd_mirror_peer_site_set_attributes, rbd_mirror_peer_set_attributes)",
        py::arg("ioctx"), py::arg("uuid"), py::arg("attributes"));
}

}  // namespace

void bind_peers(py::module_& m, RbdClass& rbd) {
    bind_listing<MirrorPeerIterator, const IoCtxArgument&>(
        m, "MirrorPeerIterator", list_peers,
        "The pool's peers, each a dict of uuid, direction (RBD_MIRROR_PEER_DIRECTION_*), "
        "site_name, cluster_name (the same), mirror_uuid and client_name.\n\nImplements: "
        "rbd_mirror_peer_site_list, rbd_mirror_peer_list",
        py::arg("ioctx"));
    define_peers(m, rbd);
    define_attributes(rbd);
}

}  // namespace rbdxx::python
