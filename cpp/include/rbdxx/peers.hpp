// The peers of a mirrored pool: the clusters to and from which its images are mirrored.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::peers {

// A peer of a pool.
struct Peer {
    std::string uuid;
    int direction = 0;  // constants::MIRROR_PEER_DIRECTION_*
    std::string site_name;
    std::string mirror_uuid;
    std::string client_name;
};

// Every call throws Error if it fails: EINVAL if mirroring of the pool is disabled, ENOENT if the
// pool has no peer of that UUID. `direction` is one of constants::MIRROR_PEER_DIRECTION_*.

// Returns a text with which another cluster can make this one its peer. The text contains a key.
// Implements: rbd_mirror_peer_bootstrap_create
std::string create_token(const IoCtx& ioctx);
// Makes the cluster that created the token a peer. Implements: rbd_mirror_peer_bootstrap_import
void import_token(const IoCtx& ioctx, int direction, const std::string& token);

// Adds a peer. Returns its UUID. Implements: rbd_mirror_peer_site_add, rbd_mirror_peer_add
std::string add(const IoCtx& ioctx, const std::string& site_name, const std::string& client_name,
                int direction);
// Removes a peer. Implements: rbd_mirror_peer_site_remove, rbd_mirror_peer_remove
void remove(const IoCtx& ioctx, const std::string& uuid);
// Returns the peers. Implements: rbd_mirror_peer_site_list, rbd_mirror_peer_list
std::vector<Peer> list(const IoCtx& ioctx);
// Sets the client name with which this cluster connects to the peer.
// Implements: rbd_mirror_peer_site_set_client_name, rbd_mirror_peer_set_client
void set_client(const IoCtx& ioctx, const std::string& uuid, const std::string& client_name);
// Sets the peer's site name. Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster
void set_name(const IoCtx& ioctx, const std::string& uuid, const std::string& site_name);
// Sets the direction of mirroring. Implements: rbd_mirror_peer_site_set_direction
void set_direction(const IoCtx& ioctx, const std::string& uuid, int direction);

// Keys and values: how to connect to a peer.
using Attributes = std::vector<std::pair<std::string, std::string>>;
// Returns the attributes of a peer, its key included.
// Implements: rbd_mirror_peer_site_get_attributes, rbd_mirror_peer_get_attributes
Attributes attributes(const IoCtx& ioctx, const std::string& uuid);
// Replaces the attributes of a peer.
// Implements: rbd_mirror_peer_site_set_attributes, rbd_mirror_peer_set_attributes
void set_attributes(const IoCtx& ioctx, const std::string& uuid, const Attributes& attributes);

}  // namespace rbdxx::peers
