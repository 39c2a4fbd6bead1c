// The pools of a cluster.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::pool {

// Every call throws RadosError if it fails, and ClosedError without a connection.

// Returns the names of the pools. Implements: rados_pool_list
std::vector<std::string> list(const Cluster& cluster);

// Returns the id of a pool; nothing if there is none of that name. Implements: rados_pool_lookup
std::optional<int64_t> find(const Cluster& cluster, const std::string& name);

// Returns the name of a pool; nothing if there is none of that id.
// Implements: rados_pool_reverse_lookup
std::optional<std::string> name_of(const Cluster& cluster, int64_t id);

// Creates a pool. `crush_rule` is the number of a CRUSH rule; nothing means the cluster's default.
// `auid` is the number of an owner, which newer releases of Ceph ignore. Throws RadosError EEXIST
// if the name is taken. Implements: rados_pool_create, rados_pool_create_with_crush_rule,
// rados_pool_create_with_auid, rados_pool_create_with_all
void create(const Cluster& cluster, const std::string& name,
            std::optional<uint8_t> crush_rule = std::nullopt,
            std::optional<uint64_t> auid = std::nullopt);

// Removes a pool and all its objects. Throws RadosError: ENOENT if there is no such pool, EPERM if
// the monitors do not allow it. Implements: rados_pool_delete
void remove(const Cluster& cluster, const std::string& name);

// Returns the id of the pool under a cache tier; the pool's own id if it is not a tier.
// Implements: rados_pool_get_base_tier
int64_t base_tier(const Cluster& cluster, int64_t id);

}  // namespace rbdxx::rados::pool
