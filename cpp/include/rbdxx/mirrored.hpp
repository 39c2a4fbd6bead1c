// The mirrored images of a pool, and their status on each site.
#pragma once

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::mirrored {

// The state of an image's mirroring.
struct ImageInfo {
    std::string global_id;
    int state = 0;  // constants::MIRROR_IMAGE_*
    bool primary = false;
};

// The status of an image as the daemon of one site reports it.
struct SiteStatus {
    std::string mirror_uuid;  // empty for the local site
    int state = 0;            // constants::MIRROR_IMAGE_STATUS_STATE_*
    std::string description;
    time_t last_update = 0;  // seconds since 1970
    bool up = false;         // the daemon runs
};

// The status of an image on every site.
struct ImageStatus {
    std::string name;
    ImageInfo info;
    std::vector<SiteStatus> sites;
};

// Returns a copy of a record of the C library. The caller frees the record.
ImageInfo info_of(const abi::rbd_mirror_image_info_t& record);
// Returns a copy of a record, likewise.
ImageStatus status_of(const abi::rbd_mirror_image_global_status_t& record);
ImageStatus status_of(const abi::rbd_mirror_image_status_t& record);

// Frees the memory that a record of rbd_mirror_image_get_info points to, in every Ceph release.
void free_info(const abi::Functions& functions, abi::rbd_mirror_image_info_t& record) noexcept;

// Returns pairs of a state, constants::MIRROR_IMAGE_STATUS_STATE_*, and the number of images in it.
// Throws Error. Implements: rbd_mirror_image_status_summary
std::vector<std::pair<int, int>> summary(const IoCtx& ioctx);

// An image's status, with its id.
struct StatusEntry {
    std::string id;  // the image's, as in the entries below
    ImageStatus status;
};
// The mode and the state of an image's mirroring.
struct InfoEntry {
    std::string id;
    int mode = 0;  // constants::MIRROR_IMAGE_MODE_*
    ImageInfo info;
};
// The instance id of the daemon that copies an image.
struct InstanceEntry {
    std::string id;
    std::string instance_id;
};

// Each call returns entries of at most `most` images whose ids come after `after`; pass the last id
// to go on. Throws Error.

// Returns the status of images on every site.
// Implements: rbd_mirror_image_global_status_list, rbd_mirror_image_status_list
std::vector<StatusEntry> statuses(const IoCtx& ioctx, const std::string& after, std::size_t most);
// Returns the state of the images' mirroring, for one mode or for all. Throws MissingFunction
// before Ceph 16. Implements: rbd_mirror_image_info_list
std::vector<InfoEntry> infos(const IoCtx& ioctx, const std::optional<int>& mode,
                             const std::string& after, std::size_t most);
// Returns the instance ids of the daemons that copy the images.
// Implements: rbd_mirror_image_instance_id_list
std::vector<InstanceEntry> instances(const IoCtx& ioctx, const std::string& after,
                                     std::size_t most);

}  // namespace rbdxx::mirrored
