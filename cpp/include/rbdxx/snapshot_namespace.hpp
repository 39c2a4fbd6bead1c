// The namespace of a snapshot: whether the user, a group or mirroring made it, or it is in the
// trash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::snapshot_namespace {

// A snapshot that belongs to a group's snapshot.
struct Group {
    int64_t pool = -1;     // the id of the group's pool
    std::string name;      // the group's
    std::string snapshot;  // the group snapshot's name
};

// A snapshot that was removed while clones need it.
struct Trash {
    std::optional<unsigned> type;  // constants::SNAP_NAMESPACE_TYPE_*, if librbd reports it
    std::string name;              // before it was removed
};

// A snapshot that mirroring made.
struct Mirror {
    unsigned state = 0;  // constants::SNAP_MIRROR_STATE_*
    std::vector<std::string> peers;
    bool complete = false;
    std::string primary_mirror_uuid;
    uint64_t primary_snapshot = 0;
    uint64_t last_copied_object = 0;
};

// `snapshot` is the snapshot's id. Every call throws Error ENOENT if there is no such snapshot. The
// last three throw Error EINVAL if it is of another type.

// Returns the type, constants::SNAP_NAMESPACE_TYPE_*. Implements: rbd_snap_get_namespace_type
unsigned type(const Image& image, uint64_t snapshot);
// Returns the group snapshot that it is part of. Implements: rbd_snap_get_group_namespace
Group group(const Image& image, uint64_t snapshot);
// Returns what a removed snapshot was.
// Implements: rbd_snap_get_trash_namespace2, rbd_snap_get_trash_namespace
Trash trash(const Image& image, uint64_t snapshot);
// Returns the state of a mirror snapshot. Throws MissingFunction before Ceph 16.
// Implements: rbd_snap_get_mirror_namespace
Mirror mirror(const Image& image, uint64_t snapshot);

}  // namespace rbdxx::snapshot_namespace
