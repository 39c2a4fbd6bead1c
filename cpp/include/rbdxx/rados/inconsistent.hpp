// Placement groups in which a scrub has found replicas that differ.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::inconsistent {

// The ids of a pool's inconsistent placement groups, as in "2.1f"; a manager must be up.
// Implements: rados_inconsistent_pg_list
std::vector<std::string> list(const Cluster& cluster, int64_t pool);

}  // namespace rbdxx::rados::inconsistent
