// Snapshots of a whole pool, and snapshots that a program manages itself. A pool can have only one
// of the two kinds; a pool that has had an image has self-managed ones.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::snapshot {

// Snapshots of the whole pool. Every call throws RadosError if it fails, ENOENT if there is no such
// snapshot.

// Takes a snapshot. Throws RadosError: EEXIST if the name is taken, EINVAL for a pool with
// self-managed snapshots. Implements: rados_ioctx_snap_create
void create(const IoCtx& ioctx, const std::string& name);
// Removes a snapshot. Implements: rados_ioctx_snap_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Returns the ids of the snapshots. Implements: rados_ioctx_snap_list
std::vector<uint64_t> list(const IoCtx& ioctx);
// Returns the id of a snapshot. Implements: rados_ioctx_snap_lookup
uint64_t find(const IoCtx& ioctx, const std::string& name);
// Returns the name of a snapshot. Implements: rados_ioctx_snap_get_name
std::string name_of(const IoCtx& ioctx, uint64_t id);
// Returns when the snapshot was taken, in seconds since 1970, UTC.
// Implements: rados_ioctx_snap_get_stamp
std::time_t time_of(const IoCtx& ioctx, uint64_t id);
// Sets an object back to its state in the snapshot. Implements: rados_ioctx_snap_rollback
void rollback(const IoCtx& ioctx, const std::string& object, const std::string& name);

// Makes reads through the context come from a snapshot, or from the head for constants::SNAP_HEAD.
// Implements: rados_ioctx_snap_set_read
void set_read(const IoCtx& ioctx, uint64_t id);

// Self-managed snapshots.

// Returns a new id. Throws RadosError EINVAL for a pool with snapshots of its own.
// Implements: rados_ioctx_selfmanaged_snap_create
uint64_t create_id(const IoCtx& ioctx);
// Removes a snapshot. Throws RadosError. Implements: rados_ioctx_selfmanaged_snap_remove
void remove_id(const IoCtx& ioctx, uint64_t id);
// Sets an object back to its state in the snapshot. Throws RadosError.
// Implements: rados_ioctx_selfmanaged_snap_rollback
void rollback_id(const IoCtx& ioctx, const std::string& object, uint64_t id);
// Makes writes through the context keep the data of these snapshots, given in any order. Throws
// RadosError. Implements: rados_ioctx_selfmanaged_snap_set_write_ctx
void set_write(const IoCtx& ioctx, std::vector<uint64_t> ids);

}  // namespace rbdxx::rados::snapshot
