#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/snapshot_namespace.hpp>

namespace rbdxx::snapshot_namespace {

namespace {

std::string describe(const char* what, uint64_t snapshot, const Image& image) {
    return "error getting the " + std::string(what) + " of snapshot " + std::to_string(snapshot) +
           " of " + image.describe();
}

// A record that the library fills. The destructor calls its clean-up function.
template <class Record, class Cleanup>
class Filled {
public:
    explicit Filled(const Cleanup& cleanup) : cleanup_(cleanup) {}
    ~Filled() {
        if (filled) {
            cleanup_(&record, sizeof record);
        }
    }
    Filled(const Filled&) = delete;
    Filled& operator=(const Filled&) = delete;

    Record record{};
    bool filled = false;

private:
    const Cleanup& cleanup_;
};

template <class Record, class Get, class Cleanup, class Describe>
void fill(Filled<Record, Cleanup>& target, const Use<ImageState>& use, uint64_t snapshot,
          const Get& get, const Describe& message) {
    check(get(use.get(), snapshot, &target.record, sizeof target.record), message);
    target.filled = true;
}

}  // namespace

unsigned type(const Image& image, uint64_t snapshot) {
    auto use = image.use();
    abi::rbd_snap_namespace_type_t answer{};
    check(use->rbd_snap_get_namespace_type(use.get(), snapshot, &answer),
          [&] { return describe("namespace type", snapshot, image); });
    return answer;
}

Group group(const Image& image, uint64_t snapshot) {
    auto use = image.use();
    const auto& functions = use.functions();
    Filled<abi::rbd_snap_group_namespace_t, decltype(functions.rbd_snap_group_namespace_cleanup)>
        found(functions.rbd_snap_group_namespace_cleanup);
    fill(found, use, snapshot, functions.rbd_snap_get_group_namespace,
         [&] { return describe("group namespace", snapshot, image); });
    return {found.record.group_pool, text_of(found.record.group_name),
            text_of(found.record.group_snap_name)};
}

Trash trash(const Image& image, uint64_t snapshot) {
    auto use = image.use();
    const auto& functions = use.functions();
    auto message = [&] { return describe("trash namespace", snapshot, image); };
    if (!functions.rbd_snap_get_trash_namespace2) {
        // The call does not return the length that it needs, so the buffer is doubled.
        return {std::nullopt, sized_string(
                                  [&](char* text, std::size_t* size) {
                                      return functions.rbd_snap_get_trash_namespace(
                                          use.get(), snapshot, text, *size);
                                  },
                                  message)};
    }
    Filled<abi::rbd_snap_trash_namespace_t, decltype(functions.rbd_snap_trash_namespace_cleanup)>
        found(functions.rbd_snap_trash_namespace_cleanup);
    fill(found, use, snapshot, functions.rbd_snap_get_trash_namespace2, message);
    return {found.record.original_namespace_type, text_of(found.record.original_name)};
}

Mirror mirror(const Image& image, uint64_t snapshot) {
    auto use = image.use();
    const auto& functions = use.functions();
    Filled<abi::rbd_snap_mirror_namespace_t, decltype(functions.rbd_snap_mirror_namespace_cleanup)>
        found(functions.rbd_snap_mirror_namespace_cleanup);
    fill(found, use, snapshot, functions.rbd_snap_get_mirror_namespace,
         [&] { return describe("mirror namespace", snapshot, image); });
    const auto& record = found.record;
    Mirror mirror;
    mirror.state = record.state;
    // One NUL-terminated string after the other.
    const char* peer = record.mirror_peer_uuids;
    for (std::size_t i = 0; i < record.mirror_peer_uuids_count; ++i) {
        mirror.peers.emplace_back(peer);
        peer += mirror.peers.back().size() + 1;
    }
    mirror.complete = record.complete;
    mirror.primary_mirror_uuid = text_of(record.primary_mirror_uuid);
    mirror.primary_snapshot = record.primary_snap_id;
    mirror.last_copied_object = record.last_copied_object_number;
    return mirror;
}

}  // namespace rbdxx::snapshot_namespace
