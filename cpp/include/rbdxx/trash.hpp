// The trash of a pool: images on their way out, which can still come back.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include <rbdxx/progress.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::trash {

struct Entry {
    std::string id;
    std::string name;
    unsigned source = 0;            // TRASH_IMAGE_SOURCE_*: who moved it there
    time_t deletion_time = 0;       // when it was moved there; seconds since 1970
    time_t deferment_end_time = 0;  // until when it is kept, but by force
};

// Keeps the image for `delay` seconds. Implements: rbd_trash_move
void move(const IoCtx& ioctx, const std::string& name, uint64_t delay);
// Implements: rbd_trash_get
Entry get(const IoCtx& ioctx, const std::string& id);
// Implements: rbd_trash_list
std::vector<Entry> list(const IoCtx& ioctx);
// Removes for good what was to be kept until `expires` (0 for now) at most; with a `threshold` of
// 0 .. 1, the oldest until the pool is no fuller than that.
// Implements: rbd_trash_purge_with_progress
void purge(const IoCtx& ioctx, time_t expires, float threshold, const Progress& progress);
// Removes for good; `force` where it is still to be kept. Implements:
// rbd_trash_remove_with_progress
void remove(const IoCtx& ioctx, const std::string& id, bool force, const Progress& progress);
// An empty `name` is the one it had. Implements: rbd_trash_restore
void restore(const IoCtx& ioctx, const std::string& id, const std::string& name);

// The name of a TRASH_IMAGE_SOURCE_*, without that prefix: "USER"; "UNKNOWN" for another number.
std::string source_name(unsigned source);

}  // namespace rbdxx::trash
