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
// `flags`: SNAP_CREATE_*. Implements: rbd_snap_create2, rbd_snap_create
void create(const Image& image, const std::string& name, uint32_t flags, const Progress& progress);
// Implements: rbd_snap_remove
void remove(const Image& image, const std::string& name);
// Implements: rbd_snap_rollback_with_progress
void rollback(const Image& image, const std::string& name, const Progress& progress);
// Implements: rbd_snap_protect
void protect(const Image& image, const std::string& name);
// Implements: rbd_snap_unprotect
void unprotect(const Image& image, const std::string& name);
// Implements: rbd_snap_is_protected
bool is_protected(const Image& image, const std::string& name);
// Reads come from the snapshot from now on; nothing for the head. Implements: rbd_snap_set
void set(const Image& image, const std::optional<std::string>& name);

}  // namespace rbdxx::snapshot
