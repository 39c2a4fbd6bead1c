// Groups of images, and snapshots of all their images at one point in time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::group {

struct Member {
    std::string name;
    int64_t pool = -1;  // the image's
    int state = 0;      // RBD_GROUP_IMAGE_STATE_*
};

struct MemberSnapshot {
    std::string image_name;
    int64_t pool = -1;
    uint64_t snapshot_id = 0;
};

// What Ceph 20 tells of a group snapshot beyond its name and state.
struct SnapshotDetails {
    std::string id;
    std::string image_snapshot_name;
    int namespace_type = 0;  // RBD_GROUP_SNAP_NAMESPACE_TYPE_*
    std::vector<MemberSnapshot> members;
};

struct Snapshot {
    std::string name;
    int state = 0;  // RBD_GROUP_SNAP_STATE_*
    std::optional<SnapshotDetails> details;
};

// The group that an image belongs to.
struct Owner {
    std::string name;  // empty: none
    int64_t pool = -1;
};

// The groups of a pool and namespace. A name that is unknown or taken is a GroupError everywhere.

// Implements: rbd_group_create
void create(const IoCtx& ioctx, const std::string& name);
// Implements: rbd_group_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Implements: rbd_group_rename
void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination);
// Implements: rbd_group_list
std::vector<std::string> list(const IoCtx& ioctx);

// One group, by the context and name it was made with; both must outlive it, as an argument does.
struct Group {
    const IoCtx& ioctx;
    const std::string& name;
};

// Implements: rbd_group_get_id
std::string id(const Group& group);
// `ioctx`: of the image's pool, here and below. Implements: rbd_group_image_add
void add_image(const Group& group, const IoCtx& ioctx, const std::string& image);
// Implements: rbd_group_image_remove
void remove_image(const Group& group, const IoCtx& ioctx, const std::string& image);
// Implements: rbd_group_image_remove_by_id
void remove_image_by_id(const Group& group, const IoCtx& ioctx, const std::string& image_id);
// Implements: rbd_group_image_list
std::vector<Member> images(const Group& group);
// `flags`: SNAP_CREATE_*. Implements: rbd_group_snap_create2, rbd_group_snap_create
void create_snapshot(const Group& group, const std::string& name, uint32_t flags);
// Implements: rbd_group_snap_remove
void remove_snapshot(const Group& group, const std::string& name);
// Implements: rbd_group_snap_rename
void rename_snapshot(const Group& group, const std::string& source, const std::string& destination);
// Implements: rbd_group_snap_list2, rbd_group_snap_list
std::vector<Snapshot> snapshots(const Group& group);
// Implements: rbd_group_snap_get_info
Snapshot snapshot_info(const Group& group, const std::string& name);
// Sets every image of the group back. Implements: rbd_group_snap_rollback_with_progress
void rollback(const Group& group, const std::string& name, const Progress& progress);

// Implements: rbd_get_group
Owner of_image(const Image& image);

}  // namespace rbdxx::group
