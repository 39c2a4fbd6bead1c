// The clones made from an image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::children {

struct Child {
    int64_t pool_id = -1;  // of the clone, as all that follows
    std::string pool_name;
    std::string pool_namespace;
    std::string image_id;
    std::string image_name;
    bool trash = false;  // the clone is in the trash
};

// The clones of the snapshot that the image is set to, or of all its snapshots.
// Implements: rbd_list_children3
std::vector<Child> list(const Image& image);
// Clones of clones too. Implements: rbd_list_descendants
std::vector<Child> list_descendants(const Image& image);

}  // namespace rbdxx::children
