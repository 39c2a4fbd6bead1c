// A pool as a whole.
#pragma once

#include <cstdint>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::pool {

struct Statistics {
    uint64_t images = 0;
    uint64_t image_provisioned_bytes = 0;
    uint64_t image_max_provisioned_bytes = 0;  // with the largest size of each one's snapshots
    uint64_t image_snapshots = 0;
    uint64_t trash_images = 0;
    uint64_t trash_provisioned_bytes = 0;
    uint64_t trash_max_provisioned_bytes = 0;
    uint64_t trash_snapshots = 0;
};

// Makes the pool ready for images; `force` where another application has it already.
// Implements: rbd_pool_init
void init(const IoCtx& ioctx, bool force);
// Implements: rbd_pool_stats_get
Statistics statistics(const IoCtx& ioctx);

}  // namespace rbdxx::pool
