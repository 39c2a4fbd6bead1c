// What differs between two points of an image's life.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::diff {

struct Extent {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    bool exists = false;  // false: zeroes, or gone
};

struct Request {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    // From a snapshot by name or by id; from the beginning of the image without either.
    std::optional<std::string> from_name;
    std::optional<uint64_t> from_id;
    bool include_parent = true;  // where from the beginning
    bool whole_object = false;   // extents of whole objects: quick with the object map
};

// Calls `visit` for each extent, in order; a negative answer ends the iteration with that error.
// Implements: rbd_diff_iterate2, rbd_diff_iterate3
void iterate(const Image& image, const Request& request,
             const std::function<int(const Extent&)>& visit);

}  // namespace rbdxx::diff
