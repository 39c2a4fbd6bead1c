// The namespaces of a pool, each with images of its own.
#pragma once

#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::namespaces {

// Implements: rbd_namespace_create
void create(const IoCtx& ioctx, const std::string& name);
// Throws EBUSY where there are images in it. Implements: rbd_namespace_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Implements: rbd_namespace_exists
bool exists(const IoCtx& ioctx, const std::string& name);
// Implements: rbd_namespace_list
std::vector<std::string> list(const IoCtx& ioctx);

}  // namespace rbdxx::namespaces
