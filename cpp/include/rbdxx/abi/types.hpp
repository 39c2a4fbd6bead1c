// The types of librbd's and librados' C API as this library declares them for itself, so that it
// builds without any Ceph header. The header test holds sizes, offsets and values against a real
// one.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <ctime>

namespace rbdxx::abi {

// Opaque handles: every one is a pointer that only the C library looks behind.
using rados_t = void*;
using rados_ioctx_t = void*;
using rados_config_t = void*;
using rados_list_ctx_t = void*;
using rados_xattrs_iter_t = void*;
using rados_omap_iter_t = void*;
using rados_write_op_t = void*;
using rados_read_op_t = void*;
using rados_completion_t = void*;
using rbd_image_t = void*;
using rbd_image_options_t = void*;
using rbd_pool_stats_t = void*;
using rbd_completion_t = void*;
using rbd_encryption_options_t = void*;

using rbd_callback_t = void (*)(rbd_completion_t completion, void* arg);
using librbd_progress_fn_t = int (*)(uint64_t offset, uint64_t total, void* arg);
using rbd_update_callback_t = void (*)(void* arg);

using rados_snap_t = uint64_t;
using rados_callback_t = void (*)(rados_completion_t completion, void* arg);
using rados_watchcb2_t = void (*)(void* arg, uint64_t notify_id, uint64_t handle,
                                  uint64_t notifier_id, void* data, size_t data_len);
using rados_watcherrcb_t = void (*)(void* arg, uint64_t cookie, int error);
using rados_log_callback_t = void (*)(void* arg, const char* line, const char* who,
                                      uint64_t seconds, uint64_t nanoseconds, uint64_t sequence,
                                      const char* level, const char* message);
using rados_log_callback2_t = void (*)(void* arg, const char* line, const char* channel,
                                       const char* who, const char* name, uint64_t seconds,
                                       uint64_t nanoseconds, uint64_t sequence, const char* level,
                                       const char* message);

// Enumerations are declared by their width alone; their values stand in constants.def.
enum rbd_snap_namespace_type_t : unsigned int;
enum rbd_mirror_mode_t : unsigned int;
enum rbd_mirror_peer_direction_t : unsigned int;
enum rbd_mirror_image_mode_t : unsigned int;
enum rbd_mirror_image_state_t : unsigned int;
enum rbd_mirror_image_status_state_t : unsigned int;
enum rbd_group_image_state_t : unsigned int;
enum rbd_group_snap_state_t : unsigned int;
enum rbd_group_snap_namespace_type_t : unsigned int;
enum rbd_snap_mirror_state_t : unsigned int;
enum rbd_lock_mode_t : unsigned int;
enum rbd_trash_image_source_t : unsigned int;
enum rbd_image_migration_state_t : int;
enum rbd_config_source_t : unsigned int;
enum rbd_pool_stat_option_t : unsigned int;
enum rbd_encryption_format_t : unsigned int;
enum rbd_encryption_algorithm_t : unsigned int;

struct rbd_image_spec_t {
    char* id;
    char* name;
};

struct rbd_linked_image_spec_t {
    int64_t pool_id;
    char* pool_name;
    char* pool_namespace;
    char* image_id;
    char* image_name;
    bool trash;
};

struct rbd_snap_spec_t {
    uint64_t id;
    rbd_snap_namespace_type_t namespace_type;
    char* name;
};

struct rbd_snap_info_t {
    uint64_t id;
    uint64_t size;
    const char* name;
};

struct rbd_child_info_t {
    const char* pool_name;
    const char* image_name;
    const char* image_id;
    bool trash;
};

struct rbd_image_info_t {
    uint64_t size;
    uint64_t obj_size;
    uint64_t num_objs;
    int order;
    char block_name_prefix[24];
    int64_t parent_pool;
    char parent_name[96];
};

struct rbd_mirror_peer_t {
    char* uuid;
    char* cluster_name;
    char* client_name;
};

struct rbd_mirror_peer_site_t {
    char* uuid;
    rbd_mirror_peer_direction_t direction;
    char* site_name;
    char* mirror_uuid;
    char* client_name;
    time_t last_seen;
};

struct rbd_mirror_image_info_t {
    char* global_id;
    rbd_mirror_image_state_t state;
    bool primary;
};

struct rbd_mirror_image_status_t {
    char* name;
    rbd_mirror_image_info_t info;
    rbd_mirror_image_status_state_t state;
    char* description;
    time_t last_update;
    bool up;
};

struct rbd_mirror_image_site_status_t {
    char* mirror_uuid;
    rbd_mirror_image_status_state_t state;
    char* description;
    time_t last_update;
    bool up;
};

struct rbd_mirror_image_global_status_t {
    char* name;
    rbd_mirror_image_info_t info;
    uint32_t site_statuses_count;
    rbd_mirror_image_site_status_t* site_statuses;
};

struct rbd_group_image_info_t {
    char* name;
    int64_t pool;
    rbd_group_image_state_t state;
};

struct rbd_group_info_t {
    char* name;
    int64_t pool;
};

struct rbd_group_image_snap_info_t {
    char* image_name;
    int64_t pool_id;
    uint64_t snap_id;
};

struct rbd_group_snap_info_t {
    char* name;
    rbd_group_snap_state_t state;
};

struct rbd_group_snap_info2_t {
    char* id;
    char* name;
    char* image_snap_name;
    rbd_group_snap_state_t state;
    rbd_group_snap_namespace_type_t namespace_type;
    size_t image_snaps_count;
    rbd_group_image_snap_info_t* image_snaps;
};

struct rbd_snap_group_namespace_t {
    int64_t group_pool;
    char* group_name;
    char* group_snap_name;
};

struct rbd_snap_trash_namespace_t {
    rbd_snap_namespace_type_t original_namespace_type;
    char* original_name;
};

struct rbd_snap_mirror_namespace_t {
    rbd_snap_mirror_state_t state;
    size_t mirror_peer_uuids_count;
    char* mirror_peer_uuids;
    bool complete;
    char* primary_mirror_uuid;
    uint64_t primary_snap_id;
    uint64_t last_copied_object_number;
};

struct rbd_trash_image_info_t {
    char* id;
    char* name;
    rbd_trash_image_source_t source;
    time_t deletion_time;
    time_t deferment_end_time;
};

struct rbd_image_watcher_t {
    char* addr;
    int64_t id;
    uint64_t cookie;
};

struct rbd_image_migration_status_t {
    int64_t source_pool_id;
    char* source_pool_namespace;
    char* source_image_name;
    char* source_image_id;
    int64_t dest_pool_id;
    char* dest_pool_namespace;
    char* dest_image_name;
    char* dest_image_id;
    rbd_image_migration_state_t state;
    char* state_description;
};

struct rbd_config_option_t {
    char* name;
    char* value;
    rbd_config_source_t source;
};

struct rbd_encryption_spec_t {
    rbd_encryption_format_t format;
    rbd_encryption_options_t opts;
    size_t opts_size;
};

struct rbd_encryption_luks1_format_options_t {
    rbd_encryption_algorithm_t alg;
    const char* passphrase;
    size_t passphrase_size;
};

struct rbd_encryption_luks2_format_options_t {
    rbd_encryption_algorithm_t alg;
    const char* passphrase;
    size_t passphrase_size;
};

struct rbd_encryption_luks_format_options_t {
    const char* passphrase;
    size_t passphrase_size;
};

struct rados_cluster_stat_t {
    uint64_t kb;
    uint64_t kb_used;
    uint64_t kb_avail;
    uint64_t num_objects;
};

struct rados_pool_stat_t {
    uint64_t num_bytes;
    uint64_t num_kb;
    uint64_t num_objects;
    uint64_t num_object_clones;
    uint64_t num_object_copies;
    uint64_t num_objects_missing_on_primary;
    uint64_t num_objects_unfound;
    uint64_t num_objects_degraded;
    uint64_t num_rd;
    uint64_t num_rd_kb;
    uint64_t num_wr;
    uint64_t num_wr_kb;
    uint64_t num_user_bytes;
    uint64_t compressed_bytes_orig;
    uint64_t compressed_bytes;
    uint64_t compressed_bytes_alloc;
};

struct notify_ack_t {
    uint64_t notifier_id;
    uint64_t cookie;
    char* payload;
    uint64_t payload_len;
};

struct notify_timeout_t {
    uint64_t notifier_id;
    uint64_t cookie;
};

}  // namespace rbdxx::abi
