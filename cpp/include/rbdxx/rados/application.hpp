// The application that a pool is for, and its metadata. The application of block devices is "rbd".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::application {

// Every call throws RadosError if it fails, ENOENT if the pool is not one of that application.

// Marks the pool as one of an application. Throws RadosError EPERM if it is another application's,
// unless `force`. Implements: rados_application_enable
void enable(const IoCtx& ioctx, const std::string& name, bool force);

// Returns the names of the pool's applications. Implements: rados_application_list
std::vector<std::string> list(const IoCtx& ioctx);

// Returns the value of a key. Throws RadosKeyError if the key does not exist.
// Implements: rados_application_metadata_get
std::string get(const IoCtx& ioctx, const std::string& name, const std::string& key);

// Sets the value of a key, or replaces it. Implements: rados_application_metadata_set
void set(const IoCtx& ioctx, const std::string& name, const std::string& key,
         const std::string& value);

// Removes a key. Implements: rados_application_metadata_remove
void remove(const IoCtx& ioctx, const std::string& name, const std::string& key);

// Returns the pairs of key and value. Implements: rados_application_metadata_list
std::vector<std::pair<std::string, std::string>> metadata(const IoCtx& ioctx,
                                                          const std::string& name);

}  // namespace rbdxx::rados::application
