// Keys and values that users store with an image or a pool.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::metadata {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Returns the value of a key. Throws Error ENOENT if the key does not exist.
// Implements: rbd_metadata_get
std::string get(const Image& image, const std::string& key);
// As for an image. Implements: rbd_pool_metadata_get
std::string get(const IoCtx& ioctx, const std::string& key);
// Sets the value of a key, or replaces it. Throws Error. Implements: rbd_metadata_set
void set(const Image& image, const std::string& key, const std::string& value);
// As for an image. Implements: rbd_pool_metadata_set
void set(const IoCtx& ioctx, const std::string& key, const std::string& value);
// Removes a key. Throws Error ENOENT if the key does not exist. Implements: rbd_metadata_remove
void remove(const Image& image, const std::string& key);
// As for an image. Implements: rbd_pool_metadata_remove
void remove(const IoCtx& ioctx, const std::string& key);
// Returns all pairs, ordered by key. Throws Error. Implements: rbd_metadata_list
Pairs list(const Image& image);
// As for an image. Implements: rbd_pool_metadata_list
Pairs list(const IoCtx& ioctx);

}  // namespace rbdxx::metadata
