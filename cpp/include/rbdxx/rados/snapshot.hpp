// Snapshots of a pool, and those that a program manages itself. A pool has one of both kinds only.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::snapshot {

// Snapshots of the whole pool.

// Throws RadosError EEXIST; EINVAL for a pool with self-managed snapshots.
// Implements: rados_ioctx_snap_create
void create(const IoCtx& ioctx, const std::string& name);
// Throws RadosError ENOENT. Implements: rados_ioctx_snap_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Their ids. Implements: rados_ioctx_snap_list
std::vector<uint64_t> list(const IoCtx& ioctx);
// Throws RadosError ENOENT, as the next two. Implements: rados_ioctx_snap_lookup
uint64_t find(const IoCtx& ioctx, const std::string& name);
// Implements: rados_ioctx_snap_get_name
std::string name_of(const IoCtx& ioctx, uint64_t id);
// When it was made, in seconds since 1970, UTC. Implements: rados_ioctx_snap_get_stamp
std::time_t time_of(const IoCtx& ioctx, uint64_t id);
// Sets an object back to what it was. Implements: rados_ioctx_snap_rollback
void rollback(const IoCtx& ioctx, const std::string& object, const std::string& name);

// Later reads through the context see that snapshot; constants::SNAP_HEAD: the present.
// Implements: rados_ioctx_snap_set_read
void set_read(const IoCtx& ioctx, uint64_t id);

// Self-managed ones.

// A new id. Implements: rados_ioctx_selfmanaged_snap_create
uint64_t create_id(const IoCtx& ioctx);
// Implements: rados_ioctx_selfmanaged_snap_remove
void remove_id(const IoCtx& ioctx, uint64_t id);
// Implements: rados_ioctx_selfmanaged_snap_rollback
void rollback_id(const IoCtx& ioctx, const std::string& object, uint64_t id);
// Later writes through the context keep what the snapshots of these ids saw, in any order.
// Implements: rados_ioctx_selfmanaged_snap_set_write_ctx
void set_write(const IoCtx& ioctx, std::vector<uint64_t> ids);

}  // namespace rbdxx::rados::snapshot
