// What a clone was made from.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>

namespace rbdxx::parent {

struct Parent {
    int64_t pool_id = -1;
    std::string pool_name;
    std::string pool_namespace;
    std::string image_id;
    std::string image_name;
    bool trash = false;  // the image is in the trash
    uint64_t snapshot_id = 0;
    unsigned snapshot_type = 0;  // SNAP_NAMESPACE_TYPE_*
    std::string snapshot_name;
};

// Throws ENOENT where there is none. Implements: rbd_get_parent
Parent get(const Image& image);

// The head of a parent that `get` has told of, read-only. Throws ENOTCONN where the connection of
// the image is not known: one that was borrowed.
Image open(const Image& image, const Parent& found);

}  // namespace rbdxx::parent
