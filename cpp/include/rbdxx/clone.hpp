// Clones: images that read the data of a snapshot until they overwrite it.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/options.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::clone {

// Makes image `name` in `ioctx` a clone of a snapshot of image `parent` in `parent_ioctx`. The
// snapshot has to be protected unless the clone's format is 2. Throws Error: ENOENT if there is no
// such image or snapshot, EEXIST if the name is taken, EINVAL if the snapshot is not protected.
// Implements: rbd_clone3
void create(const IoCtx& parent_ioctx, const std::string& parent, const std::string& snapshot,
            const IoCtx& ioctx, const std::string& name, const ImageOptions& options);

// As create(), from a snapshot by its id, which may be of any namespace type. Throws
// MissingFunction before Ceph 20. Implements: rbd_clone4
void create_from_id(const IoCtx& parent_ioctx, const std::string& parent, uint64_t snapshot_id,
                    const IoCtx& ioctx, const std::string& name, const ImageOptions& options);

}  // namespace rbdxx::clone
