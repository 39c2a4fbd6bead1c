#include "group_header.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::group {

namespace {

constexpr const char* directory = "rbd_group_directory";
constexpr uint64_t page = 128;  // the most records that one call lists

// Ceph's encoding: integers are little-endian, a text or a list follows its 32-bit length, and a
// structure its version, the oldest version that can read it, and its 32-bit length.

template <class Integer>
std::string encoded(Integer value) {
    std::string text;
    for (std::size_t i = 0; i < sizeof value; ++i) {
        text.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
    }
    return text;
}

std::string encoded(const std::string& text) {
    return encoded(static_cast<uint32_t>(text.size())) + text;
}

std::string structure(const std::string& body, uint8_t version = 1) {
    return encoded(version) + encoded(uint8_t{1}) + encoded(body);
}

// Takes values from the front of an encoded text.
class Decoder {
public:
    explicit Decoder(std::string text) : text_(std::move(text)) {}

    std::string bytes(std::size_t size) {
        if (text_.size() - at_ < size) {
            throw LogicFault("error decoding the records of a group: they end too early");
        }
        at_ += size;
        return text_.substr(at_ - size, size);
    }
    template <class Integer>
    Integer integer() {
        const std::string raw = bytes(sizeof(Integer));
        uint64_t value = 0;
        for (std::size_t i = 0; i < raw.size(); ++i) {
            value |= static_cast<uint64_t>(static_cast<unsigned char>(raw[i])) << (8 * i);
        }
        return static_cast<Integer>(value);
    }
    std::string text() { return bytes(integer<uint32_t>()); }
    // Returns the content of a structure.
    Decoder body(uint8_t* version = nullptr) {
        const auto own = integer<uint8_t>();
        if (version != nullptr) {
            *version = own;
        }
        bytes(1);
        return Decoder(text());
    }
    std::string rest() { return bytes(text_.size() - at_); }

private:
    std::string text_;
    std::size_t at_ = 0;
};

std::string encoded(const Header::Member& member) {
    return structure(encoded(member.image_id) + encoded(member.pool));
}

// The start of a listing of snapshots: an entry without id, name, state and images.
std::string first_snapshot(const std::string& id) {
    return structure(encoded(id) + encoded(std::string()) + encoded(uint8_t{0}) +
                     encoded(uint32_t{0}));
}

}  // namespace

Header::Header(const IoCtx& ioctx, const std::string& group) : ioctx_(ioctx), group_(group) {
    const std::string id = Decoder(call(directory, "dir_get_id", encoded(group))).text();
    object_ = "rbd_group_header." + id;
}

std::string Header::call(const std::string& object, const char* method,
                         const std::string& input) const {
    auto use = ioctx_.use();
    std::string output;
    const int length =
        check<GroupError>(until_sized(std::size_t{4096},
                                      [&](std::size_t& size) {
                                          output.assign(size, '\0');
                                          return use->rados_exec(use.get(), object.c_str(), "rbd",
                                                                 method, input.data(), input.size(),
                                                                 output.data(), output.size());
                                      }),
                          [&] { return "error reading group " + quoted(group_) + ioctx_.place(); });
    output.resize(static_cast<std::size_t>(length));
    return output;
}

std::vector<Header::Member> Header::members() const {
    std::vector<Member> found;
    Member last;
    for (;;) {
        Decoder records(call(object_, "group_image_list", encoded(last) + encoded(page)));
        const auto count = records.integer<uint32_t>();
        for (uint32_t i = 0; i < count; ++i) {
            Decoder member = records.body().body();
            last.image_id = member.text();
            last.pool = member.integer<int64_t>();
            found.push_back(last);
        }
        if (count < page) {
            return found;
        }
    }
}

std::vector<Header::Snapshot> Header::snapshots() const {
    std::vector<Snapshot> found;
    std::string last;
    for (;;) {
        Decoder records(call(object_, "group_snap_list", first_snapshot(last) + encoded(page)));
        const auto count = records.integer<uint32_t>();
        for (uint32_t i = 0; i < count; ++i) {
            Snapshot& snapshot = found.emplace_back();
            Decoder body = records.body(&snapshot.version);
            last = body.text();
            const std::string name = body.text();
            const std::string state = body.bytes(1);
            snapshot.start = encoded(last) + encoded(name) + state;
            const auto images = body.integer<uint32_t>();
            for (uint32_t image = 0; image < images; ++image) {
                uint8_t version = 0;
                const std::string inside = body.body(&version).rest();
                snapshot.images.push_back(
                    {structure(inside, version), Decoder(inside).integer<int64_t>()});
            }
            snapshot.rest = body.rest();
        }
        if (count < page) {
            return found;
        }
    }
}

bool Header::has_snapshots() const {
    Decoder records(call(object_, "group_snap_list", first_snapshot({}) + encoded(page)));
    return records.integer<uint32_t>() > 0;
}

bool Header::has_pool(int64_t pool, std::string& name) const {
    auto use = ioctx_.use();
    const abi::rados_t cluster = use->rados_ioctx_get_cluster(use.get());
    const int length = until_sized(std::size_t{256}, [&](std::size_t& size) {
        name.assign(size, '\0');
        return use->rados_pool_reverse_lookup(cluster, pool, name.data(), size);
    });
    if (length == -ENOENT) {
        name = std::to_string(pool);
        return false;
    }
    check<GroupError>(length, [&] { return "error looking up pool " + std::to_string(pool); });
    name.resize(static_cast<std::size_t>(length));
    return true;
}

bool Header::has_image(const Member& member) const {
    auto use = ioctx_.use();
    auto describe = [&] { return "error looking up image id " + quoted(member.image_id); };
    abi::rados_ioctx_t raw = nullptr;
    check<GroupError>(
        use->rados_ioctx_create2(use->rados_ioctx_get_cluster(use.get()), member.pool, &raw),
        describe);
    struct Pool {
        const abi::Functions& functions;
        abi::rados_ioctx_t raw;
        ~Pool() { functions.rados_ioctx_destroy(raw); }
    } pool{use.functions(), raw};
    use->rados_ioctx_set_namespace(raw, ioctx_.get_namespace().c_str());
    const std::string id = encoded(member.image_id);
    std::string name(4096, '\0');
    const int length = use->rados_exec(raw, "rbd_directory", "rbd", "dir_get_name", id.data(),
                                       id.size(), name.data(), name.size());
    return length != -ENOENT && check<GroupError>(length, describe) >= 0;
}

bool Header::has_lost_pool() const {
    auto lost = [&](const auto& image) {
        std::string name;
        return !has_pool(image.pool, name);
    };
    const auto all = members();
    const auto taken = snapshots();
    return std::any_of(all.begin(), all.end(), lost) ||
           std::any_of(taken.begin(), taken.end(), [&](const Snapshot& snapshot) {
               return std::any_of(snapshot.images.begin(), snapshot.images.end(), lost);
           });
}

void Header::forget_lost_pools() const {
    if (!has_lost_pool()) {
        return;
    }
    {
        // With an old map, a new pool would seem to be missing.
        auto use = ioctx_.use();
        check<GroupError>(
            use->rados_wait_for_latest_osdmap(use->rados_ioctx_get_cluster(use.get())),
            [&] { return "error waiting for the map of pools" + ioctx_.place(); });
    }
    std::string name;
    for (const Snapshot& snapshot : snapshots()) {
        std::string kept;
        uint32_t left = 0;
        for (const Snapshot::Image& image : snapshot.images) {
            if (has_pool(image.pool, name)) {
                kept += image.record;
                ++left;
            }
        }
        if (left < snapshot.images.size()) {
            call(
                object_, "group_snap_set",
                structure(snapshot.start + encoded(left) + kept + snapshot.rest, snapshot.version));
        }
    }
    for (const Member& member : members()) {
        if (!has_pool(member.pool, name)) {
            call(object_, "group_image_remove", encoded(member));
        }
    }
}

}  // namespace rbdxx::group
