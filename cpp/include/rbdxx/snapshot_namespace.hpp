// Where a snapshot comes from: its namespace, which is the user's, a group's, the trash's or
// mirroring's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::snapshot_namespace {

// A snapshot that belongs to a group's snapshot.
struct Group {
    int64_t pool = -1;
    std::string name;
    std::string snapshot;
};

// A snapshot that was removed while clones need it.
struct Trash {
    std::optional<unsigned> type;  // SNAP_NAMESPACE_TYPE_*, where the library tells it
    std::string name;
};

// A snapshot that mirroring made.
struct Mirror {
    unsigned state = 0;  // SNAP_MIRROR_STATE_*
    std::vector<std::string> peers;
    bool complete = false;
    std::string primary_mirror_uuid;
    uint64_t primary_snapshot = 0;
    uint64_t last_copied_object = 0;
};

// SNAP_NAMESPACE_TYPE_* of a snapshot. Implements: rbd_snap_get_namespace_type
unsigned type(const Image& image, uint64_t snapshot);
// Each one throws EINVAL where the snapshot is of another type.
// Implements: rbd_snap_get_group_namespace
Group group(const Image& image, uint64_t snapshot);
// Implements: rbd_snap_get_trash_namespace2, rbd_snap_get_trash_namespace
Trash trash(const Image& image, uint64_t snapshot);
// Implements: rbd_snap_get_mirror_namespace
Mirror mirror(const Image& image, uint64_t snapshot);

}  // namespace rbdxx::snapshot_namespace
