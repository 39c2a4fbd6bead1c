// Snapshot namespaces as the stock module's dicts.
#pragma once

#include <rbdxx/snapshot_namespace.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

inline py::dict namespace_dict(const snapshot_namespace::Group& group) {
    py::dict dict;
    dict["pool"] = group.pool;
    dict["name"] = text(group.name);
    dict["snap_name"] = text(group.snapshot);
    return dict;
}

inline py::dict namespace_dict(const snapshot_namespace::Trash& trash) {
    py::dict dict;
    if (trash.type) {
        dict["original_namespace_type"] = *trash.type;
    }
    dict["original_name"] = text(trash.name);
    return dict;
}

inline py::dict namespace_dict(const snapshot_namespace::Mirror& mirror) {
    py::list peers;
    for (const auto& peer : mirror.peers) {
        peers.append(text(peer));
    }
    py::dict dict;
    dict["state"] = mirror.state;
    dict["mirror_peer_uuids"] = peers;
    dict["complete"] = mirror.complete;
    dict["primary_mirror_uuid"] = text(mirror.primary_mirror_uuid);
    dict["primary_snap_id"] = mirror.primary_snapshot;
    dict["last_copied_object_number"] = mirror.last_copied_object;
    return dict;
}

}  // namespace rbdxx::python
