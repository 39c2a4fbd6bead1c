// A pool: preparing it for images, and what its images provision.
#pragma once

#include <cstdint>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::pool {

// The numbers and sizes of a pool's images.
struct Statistics {
    uint64_t images = 0;
    uint64_t image_provisioned_bytes = 0;
    uint64_t image_max_provisioned_bytes = 0;  // the largest size of each image's snapshots
    uint64_t image_snapshots = 0;
    uint64_t trash_images = 0;
    uint64_t trash_provisioned_bytes = 0;
    uint64_t trash_max_provisioned_bytes = 0;
    uint64_t trash_snapshots = 0;
};

// Prepares the pool for images. Throws Error EPERM if another application uses the pool, unless
// `force`. Implements: rbd_pool_init
void init(const IoCtx& ioctx, bool force);
// Returns the numbers and sizes of the pool's images. Throws Error. Implements: rbd_pool_stats_get
Statistics statistics(const IoCtx& ioctx);

}  // namespace rbdxx::pool
