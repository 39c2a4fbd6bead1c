// Mirroring of a pool to other clusters: its mode and its names.
#pragma once

#include <string>

#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::mirror {

// The cluster's own name, by a connection of ours or another library's.
// Implements: rbd_mirror_site_name_get
std::string site_name(const Cluster& cluster);
std::string site_name(abi::rados_t cluster);
// Implements: rbd_mirror_site_name_set
void set_site_name(const Cluster& cluster, const std::string& name);
void set_site_name(abi::rados_t cluster, const std::string& name);

// RBD_MIRROR_MODE_*. Implements: rbd_mirror_mode_get
int mode(const IoCtx& ioctx);
// Implements: rbd_mirror_mode_set
void set_mode(const IoCtx& ioctx, int mode);
// Implements: rbd_mirror_uuid_get
std::string uuid(const IoCtx& ioctx);
// Implements: rbd_mirror_remote_namespace_get
std::string remote_namespace(const IoCtx& ioctx);
// Implements: rbd_mirror_remote_namespace_set
void set_remote_namespace(const IoCtx& ioctx, const std::string& name);

}  // namespace rbdxx::mirror
