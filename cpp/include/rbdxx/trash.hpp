// The trash of a pool: images that are to be removed, and can still be restored.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include <rbdxx/progress.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::trash {

// An image in the trash.
struct Entry {
    std::string id;
    std::string name;
    unsigned source = 0;            // constants::TRASH_IMAGE_SOURCE_*: who moved it there
    time_t deletion_time = 0;       // when it was moved there; seconds since 1970
    time_t deferment_end_time = 0;  // only `force` removes it earlier; seconds since 1970
};

// Every call throws Error if it fails, ENOENT if there is no such image.

// Moves an image to the trash, which keeps it for at least `delay` seconds. Throws Error EBUSY if a
// client has the image open. Implements: rbd_trash_move
void move(const IoCtx& ioctx, const std::string& name, uint64_t delay);
// Returns the entry of an image in the trash. Implements: rbd_trash_get
Entry get(const IoCtx& ioctx, const std::string& id);
// Returns the images in the trash. Implements: rbd_trash_list
std::vector<Entry> list(const IoCtx& ioctx);
// Removes the images that need not be kept after `expires`, in seconds since 1970 or 0 for now.
// With a `threshold` of 0 to 1, it removes the oldest until the pool is no fuller than that share.
// Throws Error EINVAL for another threshold. Implements: rbd_trash_purge_with_progress
void purge(const IoCtx& ioctx, time_t expires, float threshold, const Progress& progress);
// Removes an image from the trash, with its data. Throws Error: EPERM if it must still be kept,
// unless `force`; ENOTEMPTY if it has snapshots. Implements: rbd_trash_remove_with_progress
void remove(const IoCtx& ioctx, const std::string& id, bool force, const Progress& progress);
// Takes an image out of the trash. An empty `name` means its old name. Throws Error EEXIST if the
// name is taken. Implements: rbd_trash_restore
void restore(const IoCtx& ioctx, const std::string& id, const std::string& name);

// Returns the name of a constants::TRASH_IMAGE_SOURCE_* without the prefix, such as "USER";
// "UNKNOWN" for another number.
std::string source_name(unsigned source);

}  // namespace rbdxx::trash
