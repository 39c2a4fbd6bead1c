// The parent of a clone: the image and snapshot that it was made from.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>

namespace rbdxx::parent {

// A parent, as librbd reports it.
struct Parent {
    int64_t pool_id = -1;
    std::string pool_name;
    std::string pool_namespace;
    std::string image_id;
    std::string image_name;
    bool trash = false;  // the image is in the trash
    uint64_t snapshot_id = 0;
    unsigned snapshot_type = 0;  // constants::SNAP_NAMESPACE_TYPE_*
    std::string snapshot_name;
};

// Returns the parent. Throws Error ENOENT if the image has none. Implements: rbd_get_parent
Parent get(const Image& image);

// Opens the parent that get() returned, at its head and read-only. Returns the image. Throws Error
// ENOTCONN for a borrowed image, because its connection is not known.
Image open(const Image& image, const Parent& found);

}  // namespace rbdxx::parent
