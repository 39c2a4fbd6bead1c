// The extended attributes of an object: small values by name.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::xattr {

// Returns an attribute's value. Throws RadosError: ENODATA if the object does not have the
// attribute, ENOENT if there is no such object. Implements: rados_getxattr
std::string get(const IoCtx& ioctx, const std::string& object, const std::string& name);

// Returns the names and values of all attributes, ordered by name. Throws RadosError ENOENT if
// there is no such object. Implements: rados_getxattrs, rados_getxattrs_next, rados_getxattrs_end
std::vector<std::pair<std::string, std::string>> list(const IoCtx& ioctx,
                                                      const std::string& object);

// Sets an attribute, and creates the object if it does not exist. Throws RadosError.
// Implements: rados_setxattr
void set(const IoCtx& ioctx, const std::string& object, const std::string& name, const char* value,
         std::size_t size);

// Removes an attribute. Does nothing if the object does not have it. Throws RadosError.
// Implements: rados_rmxattr
void remove(const IoCtx& ioctx, const std::string& object, const std::string& name);

}  // namespace rbdxx::rados::xattr
