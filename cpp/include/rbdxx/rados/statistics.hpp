// What a cluster and a pool hold and have done.
#pragma once

#include <cstdint>

#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::statistics {

struct OfCluster {
    uint64_t kb = 0;  // KiB, as the next two
    uint64_t kb_used = 0;
    uint64_t kb_avail = 0;
    uint64_t num_objects = 0;
};

// librados' own record: sizes are bytes where their names do not say kb.
struct OfPool {
    abi::rados_pool_stat_t values{};
};

// Implements: rados_cluster_stat
OfCluster of(const Cluster& cluster);
// Implements: rados_ioctx_pool_stat
OfPool of(const IoCtx& ioctx);

}  // namespace rbdxx::rados::statistics
