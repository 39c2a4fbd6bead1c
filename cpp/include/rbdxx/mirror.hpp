// Mirroring of a pool to other clusters: its mode and its names.
#pragma once

#include <string>

#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::mirror {

// Every call throws Error if it fails.

// Returns the name of the cluster as a mirroring site. Implements: rbd_mirror_site_name_get
std::string site_name(const Cluster& cluster);
// As above, over another library's connection.
std::string site_name(abi::rados_t cluster);
// Sets the name of the cluster as a mirroring site. Implements: rbd_mirror_site_name_set
void set_site_name(const Cluster& cluster, const std::string& name);
// As above, over another library's connection.
void set_site_name(abi::rados_t cluster, const std::string& name);

// Returns the pool's mirroring mode, constants::MIRROR_MODE_*. Implements: rbd_mirror_mode_get
int mode(const IoCtx& ioctx);
// Sets the pool's mirroring mode. Throws Error EINVAL for a number that is not a mode.
// Implements: rbd_mirror_mode_set
void set_mode(const IoCtx& ioctx, int mode);
// Returns the UUID of the pool as a mirroring peer. Throws MissingFunction before Ceph 16.
// Implements: rbd_mirror_uuid_get
std::string uuid(const IoCtx& ioctx);
// Returns the namespace of the other site that this one is mirrored with. Throws MissingFunction
// before Ceph 20. Implements: rbd_mirror_remote_namespace_get
std::string remote_namespace(const IoCtx& ioctx);
// Sets that namespace, while mirroring is disabled. Throws MissingFunction before Ceph 20.
// Implements: rbd_mirror_remote_namespace_set
void set_remote_namespace(const IoCtx& ioctx, const std::string& name);

}  // namespace rbdxx::mirror
