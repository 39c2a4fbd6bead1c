// The extended attributes of an object: small values by name.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::xattr {

// Throws RadosError ENODATA for an attribute that is not there, ENOENT for an object.
// Implements: rados_getxattr
std::string get(const IoCtx& ioctx, const std::string& object, const std::string& name);

// Name and value of each, by name.
// Implements: rados_getxattrs, rados_getxattrs_next, rados_getxattrs_end
std::vector<std::pair<std::string, std::string>> list(const IoCtx& ioctx,
                                                      const std::string& object);

// Makes the object if it is not there. Implements: rados_setxattr
void set(const IoCtx& ioctx, const std::string& object, const std::string& name, const char* value,
         std::size_t size);

// An attribute that is not there is no error. Implements: rados_rmxattr
void remove(const IoCtx& ioctx, const std::string& object, const std::string& name);

}  // namespace rbdxx::rados::xattr
