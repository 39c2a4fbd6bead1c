// Mirroring of one image: which side is the primary, and how the copies fare.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/mirrored.hpp>

namespace rbdxx::mirror_image {

// `mode`: RBD_MIRROR_IMAGE_MODE_*. Implements: rbd_mirror_image_enable2, rbd_mirror_image_enable
void enable(const Image& image, int mode);
// `force`: of a copy, not of the primary. Implements: rbd_mirror_image_disable
void disable(const Image& image, bool force);
// `force`: though the other side was not demoted. Implements: rbd_mirror_image_promote
void promote(const Image& image, bool force);
// Implements: rbd_mirror_image_demote
void demote(const Image& image);
// Has the copy thrown away and fetched anew. Implements: rbd_mirror_image_resync
void resync(const Image& image);
// Gives the snapshot's id. `flags`: RBD_SNAP_CREATE_*.
// Implements: rbd_mirror_image_create_snapshot2, rbd_mirror_image_create_snapshot
uint64_t create_snapshot(const Image& image, uint32_t flags);
// Implements: rbd_mirror_image_get_info
mirrored::ImageInfo info(const Image& image);
// RBD_MIRROR_IMAGE_MODE_*. Implements: rbd_mirror_image_get_mode
int mode(const Image& image);
// Of the daemon that replays the image. Implements: rbd_mirror_image_get_instance_id
std::string instance_id(const Image& image);
// Implements: rbd_mirror_image_get_global_status, rbd_mirror_image_get_status
mirrored::ImageStatus status(const Image& image);

}  // namespace rbdxx::mirror_image
