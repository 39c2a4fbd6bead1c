// The usage of a cluster and of a pool.
#pragma once

#include <cstdint>

#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::statistics {

// The usage of a cluster.
struct OfCluster {
    uint64_t kb = 0;  // KiB, as the next two
    uint64_t kb_used = 0;
    uint64_t kb_avail = 0;
    uint64_t num_objects = 0;
};

// librados' own record. Sizes are bytes, unless their names end with kb.
struct OfPool {
    abi::rados_pool_stat_t values{};
};

// Returns the usage of a cluster. Throws RadosError. Implements: rados_cluster_stat
OfCluster of(const Cluster& cluster);
// Returns the usage of a pool. Throws RadosError. Implements: rados_ioctx_pool_stat
OfPool of(const IoCtx& ioctx);

}  // namespace rbdxx::rados::statistics
