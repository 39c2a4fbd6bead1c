// Placement groups in which a scrub has found copies that differ.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::inconsistent {

// Returns the ids of a pool's inconsistent placement groups, such as "2.1f". It needs a manager,
// and waits until there is one. Throws RadosError ENOENT if there is no such pool.
// Implements: rados_inconsistent_pg_list
std::vector<std::string> list(const Cluster& cluster, int64_t pool);

}  // namespace rbdxx::rados::inconsistent
