// Clones: images whose data is a snapshot's until it is overwritten.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/options.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::clone {

// `parent` and its pool first, then where the clone goes. The snapshot has to be protected, unless
// the clone's format is 2. Implements: rbd_clone3
void create(const IoCtx& parent_ioctx, const std::string& parent, const std::string& snapshot,
            const IoCtx& ioctx, const std::string& name, const ImageOptions& options);

// From a snapshot's id, of whatever namespace type. Implements: rbd_clone4
void create_from_id(const IoCtx& parent_ioctx, const std::string& parent, uint64_t snapshot_id,
                    const IoCtx& ioctx, const std::string& name, const ImageOptions& options);

}  // namespace rbdxx::clone
