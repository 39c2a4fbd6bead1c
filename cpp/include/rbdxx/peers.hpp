// The peers of a mirrored pool: the clusters that its images are mirrored to and from.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::peers {

struct Peer {
    std::string uuid;
    int direction = 0;  // RBD_MIRROR_PEER_DIRECTION_*
    std::string site_name;
    std::string mirror_uuid;
    std::string client_name;
};

// A text that lets another cluster make this one its peer; it holds a key.
// Implements: rbd_mirror_peer_bootstrap_create
std::string create_token(const IoCtx& ioctx);
// `direction`: MIRROR_PEER_DIRECTION_*, here and below. Implements:
// rbd_mirror_peer_bootstrap_import
void import_token(const IoCtx& ioctx, int direction, const std::string& token);

// Gives the peer's uuid. Implements: rbd_mirror_peer_site_add, rbd_mirror_peer_add
std::string add(const IoCtx& ioctx, const std::string& site_name, const std::string& client_name,
                int direction);
// Implements: rbd_mirror_peer_site_remove, rbd_mirror_peer_remove
void remove(const IoCtx& ioctx, const std::string& uuid);
// Implements: rbd_mirror_peer_site_list, rbd_mirror_peer_list
std::vector<Peer> list(const IoCtx& ioctx);
// Implements: rbd_mirror_peer_site_set_client_name, rbd_mirror_peer_set_client
void set_client(const IoCtx& ioctx, const std::string& uuid, const std::string& client_name);
// Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster
void set_name(const IoCtx& ioctx, const std::string& uuid, const std::string& site_name);
// Implements: rbd_mirror_peer_site_set_direction
void set_direction(const IoCtx& ioctx, const std::string& uuid, int direction);

using Attributes = std::vector<std::pair<std::string, std::string>>;
// Implements: rbd_mirror_peer_site_get_attributes, rbd_mirror_peer_get_attributes
Attributes attributes(const IoCtx& ioctx, const std::string& uuid);
// Implements: rbd_mirror_peer_site_set_attributes, rbd_mirror_peer_set_attributes
void set_attributes(const IoCtx& ioctx, const std::string& uuid, const Attributes& attributes);

}  // namespace rbdxx::peers
