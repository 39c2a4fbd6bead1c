// Snapshots of an image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::snapshot {

// A snapshot of an image.
struct Snapshot {
    uint64_t id = 0;
    uint64_t size = 0;  // bytes
    std::string name;
};

// Every call throws Error if it fails, ENOENT if there is no such snapshot.

// Returns all snapshots of the image. Implements: rbd_snap_list
std::vector<Snapshot> list(const Image& image);
// Returns whether the image has a snapshot of that name. Implements: rbd_snap_exists
bool exists(const Image& image, const std::string& name);
// Returns the id of a snapshot. Implements: rbd_snap_get_id
uint64_t id(const Image& image, const std::string& name);
// Returns the name of a snapshot. Throws MissingFunction before Ceph 16.
// Implements: rbd_snap_get_name
std::string name(const Image& image, uint64_t id);
// Returns when the snapshot was taken, since 1970. Implements: rbd_snap_get_timestamp
timespec timestamp(const Image& image, uint64_t id);
// Takes a snapshot. `flags`: constants::SNAP_CREATE_*. Throws Error: EEXIST if the name is taken,
// EROFS if the image is open read-only, EDQUOT at the limit. Throws MissingFunction for flags on
// Ceph 14. Implements: rbd_snap_create2, rbd_snap_create
void create(const Image& image, const std::string& name, uint32_t flags, const Progress& progress);
// Removes a snapshot. Throws Error EBUSY if it is protected. Implements: rbd_snap_remove
void remove(const Image& image, const std::string& name);
// As remove(). `flags`: constants::SNAP_REMOVE_*. Implements: rbd_snap_remove2
void remove_with_flags(const Image& image, const std::string& name, uint32_t flags,
                       const Progress& progress);
// As remove(), for a snapshot of any namespace type. Implements: rbd_snap_remove_by_id
void remove_by_id(const Image& image, uint64_t id);
// Renames a snapshot. Throws Error EEXIST if the new name is taken. Implements: rbd_snap_rename
void rename(const Image& image, const std::string& source, const std::string& destination);
// Overwrites the image's data with the snapshot's. Takes as long as writing it.
// Implements: rbd_snap_rollback_with_progress
void rollback(const Image& image, const std::string& name, const Progress& progress);
// Protects a snapshot from removal, as clones of format 1 need it. Throws Error EBUSY if it is
// protected. Implements: rbd_snap_protect
void protect(const Image& image, const std::string& name);
// Ends the protection. Throws Error: EBUSY while there are clones of the snapshot, EINVAL if it is
// not protected. Implements: rbd_snap_unprotect
void unprotect(const Image& image, const std::string& name);
// Returns whether the snapshot is protected. Implements: rbd_snap_is_protected
bool is_protected(const Image& image, const std::string& name);
// Makes reads through this image come from the snapshot, or from the head if `name` has no value.
// Implements: rbd_snap_set
void set(const Image& image, const std::optional<std::string>& name);
// As set(), for a snapshot of any namespace type. Implements: rbd_snap_set_by_id
void set_by_id(const Image& image, uint64_t id);

// Where reads come from.
struct Position {
    std::optional<std::string> name;  // with which the snapshot can be set or opened
    std::optional<uint64_t> id;       // of a snapshot without such a name
    // Returns whether reads come from the head.
    bool head() const { return !name && !id; }
};
// Returns where reads come from, as set by this library. If the lender of a borrowed image has set
// another snapshot, this is not known.
Position position(const Image& image);

// Returns the number of snapshots that the image may have; 2**64-1 means no limit.
// Implements: rbd_snap_get_limit
uint64_t limit(const Image& image);
// Sets that number. Throws Error ERANGE if the image has more snapshots. Implements:
// rbd_snap_set_limit
void set_limit(const Image& image, uint64_t limit);

}  // namespace rbdxx::snapshot
