// Groups of images, and snapshots of all their images at one point in time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::group {

// An image of a group.
struct Member {
    std::string name;
    int64_t pool = -1;  // the id of the image's pool
    int state = 0;      // constants::GROUP_IMAGE_STATE_*
};

// The snapshot of one image that is part of a group snapshot.
struct MemberSnapshot {
    std::string image_name;
    int64_t pool = -1;  // the id of the image's pool
    uint64_t snapshot_id = 0;
};

// What Ceph 20 reports of a group snapshot besides its name and state.
struct SnapshotDetails {
    std::string id;
    std::string image_snapshot_name;
    int namespace_type = 0;  // constants::GROUP_SNAP_NAMESPACE_TYPE_*
    std::vector<MemberSnapshot> members;
};

// A group snapshot.
struct Snapshot {
    std::string name;
    int state = 0;                           // constants::GROUP_SNAP_STATE_*
    std::optional<SnapshotDetails> details;  // nothing before Ceph 20
};

// The group that an image belongs to.
struct Owner {
    std::string name;   // empty if the image is in no group
    int64_t pool = -1;  // the id of the group's pool
};

// The groups of a pool and namespace. Every call throws GroupError if it fails: ENOENT for a name
// that does not exist, EEXIST for one that is taken.

// Creates an empty group. Implements: rbd_group_create
void create(const IoCtx& ioctx, const std::string& name);
// Removes a group and its snapshots. The images stay. Does nothing if there is no such group.
// Implements: rbd_group_remove
void remove(const IoCtx& ioctx, const std::string& name);
// Renames a group. Implements: rbd_group_rename
void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination);
// Returns the names of the groups. Implements: rbd_group_list
std::vector<std::string> list(const IoCtx& ioctx);

// Names a group for the calls below. It refers to its context and name, which must outlive it.
struct Group {
    const IoCtx& ioctx;
    const std::string& name;
};

// Returns the group's id. Throws MissingFunction before Ceph 20. Implements: rbd_group_get_id
std::string id(const Group& group);
// Adds an image to the group. `ioctx` is a context of the image's pool, here and below.
// Implements: rbd_group_image_add
void add_image(const Group& group, const IoCtx& ioctx, const std::string& image);
// Takes an image out of the group. Implements: rbd_group_image_remove
void remove_image(const Group& group, const IoCtx& ioctx, const std::string& image);
// As remove_image(), by the image's id. Implements: rbd_group_image_remove_by_id
void remove_image_by_id(const Group& group, const IoCtx& ioctx, const std::string& image_id);
// Returns the images of the group. Implements: rbd_group_image_list
std::vector<Member> images(const Group& group);
// Takes a snapshot of every image of the group, at one point in time. `flags`:
// constants::SNAP_CREATE_*. Implements: rbd_group_snap_create2, rbd_group_snap_create
void create_snapshot(const Group& group, const std::string& name, uint32_t flags);
// Removes a snapshot of the group from every image. Implements: rbd_group_snap_remove
void remove_snapshot(const Group& group, const std::string& name);
// Renames a snapshot of the group. Implements: rbd_group_snap_rename
void rename_snapshot(const Group& group, const std::string& source, const std::string& destination);
// Returns the snapshots of the group. Implements: rbd_group_snap_list2, rbd_group_snap_list
std::vector<Snapshot> snapshots(const Group& group);
// Returns one snapshot of the group, with its details. Throws MissingFunction before Ceph 20.
// Implements: rbd_group_snap_get_info
Snapshot snapshot_info(const Group& group, const std::string& name);
// Sets every image of the group back to the snapshot. Takes as long as writing their data.
// Implements: rbd_group_snap_rollback_with_progress
void rollback(const Group& group, const std::string& name, const Progress& progress);

// Returns the group that an image is in. Throws Error. Implements: rbd_get_group
Owner of_image(const Image& image);

}  // namespace rbdxx::group
