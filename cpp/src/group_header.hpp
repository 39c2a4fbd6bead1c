// The records of a group, read and changed through Ceph's object class, as librbd does itself.
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

    // Returns all members, also those whose image or pool does not exist any more.
    std::vector<Member> members() const;
    bool has_snapshots() const;
    // Returns whether a pool exists. `name` gets the pool's name, or its id if it does not exist.
    bool has_pool(int64_t pool, std::string& name) const;
    // Returns whether the pool of a member, which exists, has the image, not counting the trash.
    bool has_image(const Member& member) const;
    // Takes images in pools that do not exist out of the group and of its snapshots.
    void forget_lost_pools() const;

private:
    // The encoded snapshot, in two parts around its images.
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
