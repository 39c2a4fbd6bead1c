// Snapshots of an image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::snapshot {

struct Snapshot {
    uint64_t id = 0;
    uint64_t size = 0;  // bytes
    std::string name;
};

// Implements: rbd_snap_list
std::vector<Snapshot> list(const Image& image);
// Implements: rbd_snap_exists
bool exists(const Image& image, const std::string& name);
// Implements: rbd_snap_get_id
uint64_t id(const Image& image, const std::string& name);
// Implements: rbd_snap_get_name
std::string name(const Image& image, uint64_t id);
// When it was taken, since 1970. Implements: rbd_snap_get_timestamp
timespec timestamp(const Image& image, uint64_t id);
// EEXIST where the name is taken. `flags`: SNAP_CREATE_*.
// Implements: rbd_snap_create2, rbd_snap_create
void create(const Image& image, const std::string& name, uint32_t flags, const Progress& progress);
// EBUSY where it is protected. Implements: rbd_snap_remove
void remove(const Image& image, const std::string& name);
// `flags`: SNAP_REMOVE_*. Implements: rbd_snap_remove2
void remove_with_flags(const Image& image, const std::string& name, uint32_t flags,
                       const Progress& progress);
// Of whatever kind it is. Implements: rbd_snap_remove_by_id
void remove_by_id(const Image& image, uint64_t id);
// Implements: rbd_snap_rename
void rename(const Image& image, const std::string& source, const std::string& destination);
// Writes the snapshot's data over the image's. Implements: rbd_snap_rollback_with_progress
void rollback(const Image& image, const std::string& name, const Progress& progress);
// Clones of format 1 ask for that. Implements: rbd_snap_protect
void protect(const Image& image, const std::string& name);
// EBUSY while clones need it. Implements: rbd_snap_unprotect
void unprotect(const Image& image, const std::string& name);
// Implements: rbd_snap_is_protected
bool is_protected(const Image& image, const std::string& name);
// Reads come from the snapshot from now on; nothing for the head. Implements: rbd_snap_set
void set(const Image& image, const std::optional<std::string>& name);
// As set(), for a snapshot of whatever kind. Implements: rbd_snap_set_by_id
void set_by_id(const Image& image, uint64_t id);

// Where reads come from.
struct Position {
    std::optional<std::string> name;  // by which the snapshot can be set or opened
    std::optional<uint64_t> id;       // of a snapshot that has no such name
    bool head() const { return !name && !id; }
};
// As set by this library; what the lender of a borrowed image did is not known.
Position position(const Image& image);

// How many snapshots the image may have; 2**64-1 is no limit. Implements: rbd_snap_get_limit
uint64_t limit(const Image& image);
// Implements: rbd_snap_set_limit
void set_limit(const Image& image, uint64_t limit);

}  // namespace rbdxx::snapshot
