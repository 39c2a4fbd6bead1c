// The pools of a cluster.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::pool {

// The names of the pools. Implements: rados_pool_list
std::vector<std::string> list(const Cluster& cluster);

// The id of a pool; nothing where there is none of that name. Implements: rados_pool_lookup
std::optional<int64_t> find(const Cluster& cluster, const std::string& name);

// The name of a pool; nothing where there is none of that id. Implements: rados_pool_reverse_lookup
std::optional<std::string> name_of(const Cluster& cluster, int64_t id);

// `crush_rule`: the rule's number; nothing for the cluster's default. `auid`: an owner's number,
// for which newer releases of Ceph have no use. Throws RadosError EEXIST. Implements:
// rados_pool_create, rados_pool_create_with_crush_rule, rados_pool_create_with_auid,
// rados_pool_create_with_all
void create(const Cluster& cluster, const std::string& name,
            std::optional<uint8_t> crush_rule = std::nullopt,
            std::optional<uint64_t> auid = std::nullopt);

// With all that is in it. Throws RadosError EPERM where the monitors forbid it.
// Implements: rados_pool_delete
void remove(const Cluster& cluster, const std::string& name);

// The id of the pool under a cache tier; the pool's own id where it is none.
// Implements: rados_pool_get_base_tier
int64_t base_tier(const Cluster& cluster, int64_t id);

}  // namespace rbdxx::rados::pool
