// Mirroring of a pool to other clusters: its mode, its peers, and how its images fare.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/cluster.hpp>
#include <rbdxx/ioctx.hpp>

namespace rbdxx::mirror {

struct Peer {
    std::string uuid;
    int direction = 0;  // RBD_MIRROR_PEER_DIRECTION_*
    std::string site_name;
    std::string mirror_uuid;
    std::string client_name;
};

struct ImageInfo {
    std::string global_id;
    int state = 0;  // RBD_MIRROR_IMAGE_*
    bool primary = false;
};

// What one site's daemon says of an image.
struct SiteStatus {
    std::string mirror_uuid;  // empty: the local site
    int state = 0;            // MIRROR_IMAGE_STATUS_STATE_*
    std::string description;
    time_t last_update = 0;  // seconds since 1970
    bool up = false;
};

struct ImageStatus {
    std::string name;
    ImageInfo info;
    std::vector<SiteStatus> sites;
};

// The C library's records as values; the records stay the caller's.
ImageInfo info_of(const abi::rbd_mirror_image_info_t& record);
ImageStatus status_of(const abi::rbd_mirror_image_global_status_t& record);
ImageStatus status_of(const abi::rbd_mirror_image_status_t& record);

// Frees what is inside a record of rbd_mirror_image_get_info, in every release.
void free_info(const abi::Functions& functions, abi::rbd_mirror_image_info_t& record) noexcept;

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

// A text that lets another cluster make this one its peer; it holds a key.
// Implements: rbd_mirror_peer_bootstrap_create
std::string create_token(const IoCtx& ioctx);
// Implements: rbd_mirror_peer_bootstrap_import
void import_token(const IoCtx& ioctx, int direction, const std::string& token);

// Gives the peer's uuid. Implements: rbd_mirror_peer_site_add, rbd_mirror_peer_add
std::string add_peer(const IoCtx& ioctx, const std::string& site_name,
                     const std::string& client_name, int direction);
// Implements: rbd_mirror_peer_site_remove, rbd_mirror_peer_remove
void remove_peer(const IoCtx& ioctx, const std::string& uuid);
// Implements: rbd_mirror_peer_site_list, rbd_mirror_peer_list
std::vector<Peer> peers(const IoCtx& ioctx);
// Implements: rbd_mirror_peer_site_set_client_name, rbd_mirror_peer_set_client
void set_peer_client(const IoCtx& ioctx, const std::string& uuid, const std::string& client_name);
// Implements: rbd_mirror_peer_site_set_name, rbd_mirror_peer_set_cluster
void set_peer_name(const IoCtx& ioctx, const std::string& uuid, const std::string& site_name);
// Implements: rbd_mirror_peer_site_set_direction
void set_peer_direction(const IoCtx& ioctx, const std::string& uuid, int direction);

using Attributes = std::vector<std::pair<std::string, std::string>>;
// Implements: rbd_mirror_peer_site_get_attributes, rbd_mirror_peer_get_attributes
Attributes peer_attributes(const IoCtx& ioctx, const std::string& uuid);
// Implements: rbd_mirror_peer_site_set_attributes, rbd_mirror_peer_set_attributes
void set_peer_attributes(const IoCtx& ioctx, const std::string& uuid, const Attributes& attributes);

// How many images are in each state. Implements: rbd_mirror_image_status_summary
std::vector<std::pair<int, int>> summary(const IoCtx& ioctx);

struct StatusEntry {
    std::string id;  // of the image, as in the entries below
    ImageStatus status;
};
struct InfoEntry {
    std::string id;
    int mode = 0;  // RBD_MIRROR_IMAGE_MODE_*
    ImageInfo info;
};
struct InstanceEntry {
    std::string id;
    std::string instance_id;
};

// At most `most` images, of those whose id comes after `after`.

// Implements: rbd_mirror_image_global_status_list, rbd_mirror_image_status_list
std::vector<StatusEntry> statuses(const IoCtx& ioctx, const std::string& after, std::size_t most);
// Implements: rbd_mirror_image_info_list
std::vector<InfoEntry> infos(const IoCtx& ioctx, const std::optional<int>& mode,
                             const std::string& after, std::size_t most);
// Implements: rbd_mirror_image_instance_id_list
std::vector<InstanceEntry> instances(const IoCtx& ioctx, const std::string& after,
                                     std::size_t most);

}  // namespace rbdxx::mirror
