// Who watches an image: every client that has it open for writing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::watch {

struct Watcher {
    std::string address;
    int64_t id = 0;  // the client's
    uint64_t cookie = 0;
};

// Implements: rbd_watchers_list
std::vector<Watcher> list(const Image& image);

}  // namespace rbdxx::watch
