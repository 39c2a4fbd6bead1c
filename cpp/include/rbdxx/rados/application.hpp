// Which application a pool is for, and what that one notes there: block devices are "rbd".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::application {

// `force`: also where the pool is another application's. Implements: rados_application_enable
void enable(const IoCtx& ioctx, const std::string& name, bool force);

// Implements: rados_application_list
std::vector<std::string> list(const IoCtx& ioctx);

// Throws RadosKeyError. Implements: rados_application_metadata_get
std::string get(const IoCtx& ioctx, const std::string& name, const std::string& key);

// Implements: rados_application_metadata_set
void set(const IoCtx& ioctx, const std::string& name, const std::string& key,
         const std::string& value);

// Implements: rados_application_metadata_remove
void remove(const IoCtx& ioctx, const std::string& name, const std::string& key);

// Key and value. Implements: rados_application_metadata_list
std::vector<std::pair<std::string, std::string>> metadata(const IoCtx& ioctx,
                                                          const std::string& name);

}  // namespace rbdxx::rados::application
