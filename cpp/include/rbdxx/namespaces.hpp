// The namespaces of a pool. Each has its own images.
#pragma once

#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::namespaces {

// Creates a namespace. Throws Error EEXIST if the name is taken. Implements: rbd_namespace_create
void create(const IoCtx& ioctx, const std::string& name);
// Removes a namespace. Throws Error: EBUSY if it has images, ENOENT if it does not exist.
// Implements: rbd_namespace_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Returns whether the namespace exists. Throws Error. Implements: rbd_namespace_exists
bool exists(const IoCtx& ioctx, const std::string& name);
// Returns the names of the namespaces. Throws Error. Implements: rbd_namespace_list
std::vector<std::string> list(const IoCtx& ioctx);

}  // namespace rbdxx::namespaces
