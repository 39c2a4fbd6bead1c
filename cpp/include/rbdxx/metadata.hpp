// Keys and values that users keep with an image or a pool.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::metadata {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Throws ENOENT for a key that is not there. Implements: rbd_metadata_get, rbd_pool_metadata_get
std::string get(const Image& image, const std::string& key);
std::string get(const IoCtx& ioctx, const std::string& key);
// Replaces what is there. Implements: rbd_metadata_set, rbd_pool_metadata_set
void set(const Image& image, const std::string& key, const std::string& value);
void set(const IoCtx& ioctx, const std::string& key, const std::string& value);
// Throws ENOENT for a key that is not there.
// Implements: rbd_metadata_remove, rbd_pool_metadata_remove
void remove(const Image& image, const std::string& key);
void remove(const IoCtx& ioctx, const std::string& key);
// All pairs, ordered by key. Implements: rbd_metadata_list, rbd_pool_metadata_list
Pairs list(const Image& image);
Pairs list(const IoCtx& ioctx);

}  // namespace rbdxx::metadata
