// The mirrored images of a pool: what they are, and how they fare on each site.
#pragma once

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::mirrored {

struct ImageInfo {
    std::string global_id;
    int state = 0;  // RBD_MIRROR_IMAGE_*
    bool primary = false;
};

// What one site's daemon says of an image.
struct SiteStatus {
    std::string mirror_uuid;  // empty: the local site
    int state = 0;            // MIRROR_IMAGE_STATUS_STATE_*
    std::string description;
    time_t last_update = 0;  // seconds since 1970
    bool up = false;
};

struct ImageStatus {
    std::string name;
    ImageInfo info;
    std::vector<SiteStatus> sites;
};

// The C library's records as values; the records stay the caller's.
ImageInfo info_of(const abi::rbd_mirror_image_info_t& record);
ImageStatus status_of(const abi::rbd_mirror_image_global_status_t& record);
ImageStatus status_of(const abi::rbd_mirror_image_status_t& record);

// Frees what is inside a record of rbd_mirror_image_get_info, in every release.
void free_info(const abi::Functions& functions, abi::rbd_mirror_image_info_t& record) noexcept;

// Pairs of MIRROR_IMAGE_STATUS_STATE_* and how many images are in it. Implements:
// rbd_mirror_image_status_summary
std::vector<std::pair<int, int>> summary(const IoCtx& ioctx);

struct StatusEntry {
    std::string id;  // of the image, as in the entries below
    ImageStatus status;
};
struct InfoEntry {
    std::string id;
    int mode = 0;  // RBD_MIRROR_IMAGE_MODE_*
    ImageInfo info;
};
struct InstanceEntry {
    std::string id;
    std::string instance_id;
};

// At most `most` images, of those whose id comes after `after`.

// Implements: rbd_mirror_image_global_status_list, rbd_mirror_image_status_list
std::vector<StatusEntry> statuses(const IoCtx& ioctx, const std::string& after, std::size_t most);
// Implements: rbd_mirror_image_info_list
std::vector<InfoEntry> infos(const IoCtx& ioctx, const std::optional<int>& mode,
                             const std::string& after, std::size_t most);
// Implements: rbd_mirror_image_instance_id_list
std::vector<InstanceEntry> instances(const IoCtx& ioctx, const std::string& after,
                                     std::size_t most);

}  // namespace rbdxx::mirrored
