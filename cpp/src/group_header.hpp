// The records of a group, read and changed by way of Ceph's object class, as librbd does itself.
// librbd lists a group as empty, and refuses to remove it, if it cannot name one of its members.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::group {

class Header {
public:
    struct Member {
        std::string image_id;
        int64_t pool = -1;
        bool operator==(const Member& other) const {
            return image_id == other.image_id && pool == other.pool;
        }
    };

    // Throws GroupError: ENOENT if there is no such group.
    Header(const IoCtx& ioctx, const std::string& group);

    // All members, whether or not there still is such an image or pool.
    std::vector<Member> members() const;
    bool has_snapshots() const;
    // Whether a pool exists; `name` gets its name, or its id if it does not.
    bool has_pool(int64_t pool, std::string& name) const;
    // Whether the pool of a member, which exists, has such an image: one that is not in the trash.
    bool has_image(const Member& member) const;
    // Takes images in pools that do not exist out of the group and of its snapshots.
    void forget_lost_pools() const;

private:
    // As Ceph encodes it, cut at its images.
    struct Snapshot {
        struct Image {
            std::string record;
            int64_t pool = -1;
        };
        uint8_t version = 0;
        std::string start;
        std::vector<Image> images;
        std::string rest;
    };

    std::string call(const std::string& object, const char* method, const std::string& input) const;
    std::vector<Snapshot> snapshots() const;
    bool has_lost_pool() const;

    const IoCtx& ioctx_;
    const std::string group_;
    std::string object_;
};

}  // namespace rbdxx::group
