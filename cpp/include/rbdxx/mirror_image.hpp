// Mirroring of one image: which site has the primary image, and the state of the copies.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/mirrored.hpp>

namespace rbdxx::mirror_image {

// Every call throws Error if it fails, EINVAL if mirroring of the image is not in the state that
// the call needs.

// Enables mirroring of the image. `mode`: constants::MIRROR_IMAGE_MODE_*.
// Implements: rbd_mirror_image_enable2, rbd_mirror_image_enable
void enable(const Image& image, int mode);
// Disables mirroring of the image. `force` is needed for an image that is not the primary one.
// Implements: rbd_mirror_image_disable
void disable(const Image& image, bool force);
// Makes the image the primary one. With `force`, also if the other site's image was not demoted.
// Implements: rbd_mirror_image_promote
void promote(const Image& image, bool force);
// Makes the primary image a copy, which nobody writes. Implements: rbd_mirror_image_demote
void demote(const Image& image);
// Requests that the copy is deleted and copied again. Implements: rbd_mirror_image_resync
void resync(const Image& image);
// Takes a mirror snapshot. Returns its id. `flags`: constants::SNAP_CREATE_*.
// Implements: rbd_mirror_image_create_snapshot2, rbd_mirror_image_create_snapshot
uint64_t create_snapshot(const Image& image, uint32_t flags);
// Returns the state of the image's mirroring. Implements: rbd_mirror_image_get_info
mirrored::ImageInfo info(const Image& image);
// Returns the mode, constants::MIRROR_IMAGE_MODE_*. Throws MissingFunction before Ceph 16.
// Implements: rbd_mirror_image_get_mode
int mode(const Image& image);
// Returns the instance id of the daemon that copies the image.
// Implements: rbd_mirror_image_get_instance_id
std::string instance_id(const Image& image);
// Returns the status of the image on every site.
// Implements: rbd_mirror_image_get_global_status, rbd_mirror_image_get_status
mirrored::ImageStatus status(const Image& image);

}  // namespace rbdxx::mirror_image
