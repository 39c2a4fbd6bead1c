// The clones made from an image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::children {

// A clone.
struct Child {
    int64_t pool_id = -1;  // of the clone, as the other fields
    std::string pool_name;
    std::string pool_namespace;
    std::string image_id;
    std::string image_name;
    bool trash = false;  // the clone is in the trash
};

// Returns the clones of the snapshot that is set, or of all snapshots if none is set. Throws Error.
// Implements: rbd_list_children3
std::vector<Child> list(const Image& image);
// As list(), with the clones of the clones. Implements: rbd_list_descendants
std::vector<Child> list_descendants(const Image& image);

}  // namespace rbdxx::children
