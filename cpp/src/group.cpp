#include <cerrno>

#include <rbdxx/error.hpp>
#include <rbdxx/group.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/sized.hpp>

#include "group_header.hpp"

namespace rbdxx::group {

namespace {

std::string of(const Group& group) {
    return " of group " + quoted(group.name) + group.ioctx.place();
}

std::string describe(const char* verb, const std::string& name, const Group& group) {
    return "error " + std::string(verb) + " snapshot " + quoted(name) + of(group);
}

// Records whose clean-up function also needs the size of one record. The destructor calls it.
template <class T, class Cleanup>
class SizedRecords {
public:
    SizedRecords(std::vector<T> records, const Cleanup& cleanup)
        : records_(std::move(records)), cleanup_(cleanup) {}
    ~SizedRecords() {
        if (!records_.empty()) {
            cleanup_(records_.data(), sizeof(T), records_.size());
        }
    }
    SizedRecords(const SizedRecords&) = delete;
    SizedRecords& operator=(const SizedRecords&) = delete;
    auto begin() const { return records_.begin(); }
    auto end() const { return records_.end(); }

private:
    std::vector<T> records_;
    const Cleanup& cleanup_;
};

// Returns what `ask(header)` finds in the records of a group, or throws the caller's error.
template <class Ask>
auto with_header(const Group& group, const char* what, const Ask& ask) {
    try {
        return ask(Header(group.ioctx, group.name));
    } catch (const GroupError& error) {
        throw GroupError(error.code(), "error listing " + std::string(what) + of(group));
    }
}

// Returns, for a message, the members that librbd cannot name, and what to do about them.
std::string lost_members(const Header& header) {
    std::string text;
    for (const Header::Member& member : header.members()) {
        std::string pool;
        const std::string start = ": member image id " + quoted(member.image_id) + " in pool ";
        if (!header.has_pool(member.pool, pool)) {
            text += start + pool +
                    ", which does not exist; RBD.group_remove() removes the group all the same";
        } else if (!header.has_image(member)) {
            text += start + quoted(pool) +
                    " is in the trash or gone; restore it, or take it out with "
                    "Group.remove_image_by_id()";
        }
    }
    return text;
}

void forget_lost_pools(const Group& group) {
    try {
        Header(group.ioctx, group.name).forget_lost_pools();
    } catch (const GroupError&) {
        return;  // librbd reports what is wrong
    } catch (const LogicFault&) {
        return;  // records of a newer release
    }
}

Snapshot snapshot_of(const abi::rbd_group_snap_info2_t& record) {
    Snapshot snapshot;
    snapshot.name = text_of(record.name);
    snapshot.state = static_cast<int>(record.state);
    SnapshotDetails& details = snapshot.details.emplace();
    details.id = text_of(record.id);
    details.image_snapshot_name = text_of(record.image_snap_name);
    details.namespace_type = static_cast<int>(record.namespace_type);
    for (std::size_t i = 0; i < record.image_snaps_count; ++i) {
        const auto& member = record.image_snaps[i];
        details.members.push_back({text_of(member.image_name), member.pool_id, member.snap_id});
    }
    return snapshot;
}

}  // namespace

void create(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    check<GroupError>(use->rbd_group_create(use.get(), name.c_str()),
                      [&] { return "error creating group " + quoted(name) + ioctx.place(); });
}

void remove(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    // librbd stops at an image whose pool does not exist any more, and leaves other images open.
    forget_lost_pools({ioctx, name});
    check<GroupError>(use->rbd_group_remove(use.get(), name.c_str()),
                      [&] { return "error removing group " + quoted(name) + ioctx.place(); });
}

void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination) {
    auto use = ioctx.use();
    check<GroupError>(use->rbd_group_rename(use.get(), source.c_str(), destination.c_str()), [&] {
        return "error renaming group " + quoted(source) + " to " + quoted(destination) +
               ioctx.place();
    });
}

std::vector<std::string> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return sized_names<GroupError>(
        [&](char* names, std::size_t* size) { return use->rbd_group_list(use.get(), names, size); },
        [&] { return "error listing groups" + ioctx.place(); });
}

std::string id(const Group& group) {
    auto use = group.ioctx.use();
    return sized_string<GroupError>(
        [&](char* text, std::size_t* size) {
            return use->rbd_group_get_id(use.get(), group.name.c_str(), text, size);
        },
        [&] { return "error getting the id" + of(group); });
}

void add_image(const Group& group, const IoCtx& ioctx, const std::string& image) {
    auto use = group.ioctx.use();
    auto images = ioctx.use();
    check<GroupError>(
        use->rbd_group_image_add(use.get(), group.name.c_str(), images.get(), image.c_str()), [&] {
            return "error adding image " + quoted(image) + ioctx.place() + " to group " +
                   quoted(group.name) + group.ioctx.place();
        });
}

void remove_image(const Group& group, const IoCtx& ioctx, const std::string& image) {
    auto use = group.ioctx.use();
    auto images = ioctx.use();
    check<GroupError>(
        use->rbd_group_image_remove(use.get(), group.name.c_str(), images.get(), image.c_str()),
        [&] {
            return "error removing image " + quoted(image) + ioctx.place() + " from group " +
                   quoted(group.name) + group.ioctx.place();
        });
}

void remove_image_by_id(const Group& group, const IoCtx& ioctx, const std::string& image_id) {
    auto use = group.ioctx.use();
    auto images = ioctx.use();
    check<GroupError>(use->rbd_group_image_remove_by_id(use.get(), group.name.c_str(), images.get(),
                                                        image_id.c_str()),
                      [&] {
                          return "error removing image id " + quoted(image_id) + ioctx.place() +
                                 " from group " + quoted(group.name) + group.ioctx.place();
                      });
}

namespace {

std::vector<Member> listed_images(const Group& group) {
    auto use = group.ioctx.use();
    using Record = abi::rbd_group_image_info_t;
    auto records = sized_records<Record, GroupError>(
        [&](Record* array, std::size_t* count) {
            return use->rbd_group_image_list(use.get(), group.name.c_str(), array, sizeof(Record),
                                             count);
        },
        [&] { return "error listing images" + of(group); });
    SizedRecords owned(std::move(records), use.functions().rbd_group_image_list_cleanup);
    std::vector<Member> members;
    for (const auto& record : owned) {
        members.push_back({text_of(record.name), record.pool, static_cast<int>(record.state)});
    }
    return members;
}

}  // namespace

std::vector<Member> images(const Group& group) {
    auto members = listed_images(group);
    // librbd returns an empty list if there is no such group, or if an image of it has no name.
    auto empty = [](const Header& header) { return header.members().empty(); };
    if (members.empty() && !with_header(group, "images", empty)) {
        // A member may have been added or restored between the two calls.
        members = listed_images(group);
        if (members.empty()) {
            throw GroupError(ENOENT, "error listing images" + of(group) +
                                         with_header(group, "images", lost_members));
        }
    }
    return members;
}

namespace {

// As lock::with_lock(), for all images of the group that are in its own pool.
template <class Call>
int with_locks(const Group& group, const Call& call) {
    const int result = call();
    if (!lock::may_be_left_behind(result)) {
        return result;
    }
    bool any = false;
    try {
        const int64_t pool = group.ioctx.pool_id();
        for (const Member& member : listed_images(group)) {
            if (member.pool == pool) {
                any = lock::release_left_behind(group.ioctx, {member.name}) || any;
            }
        }
    } catch (const Error&) {
        // The call itself reports what is wrong.
        return result;
    }
    return any ? call() : result;
}

}  // namespace

void create_snapshot(const Group& group, const std::string& name, uint32_t flags) {
    auto use = group.ioctx.use();
    const auto& functions = use.functions();
    if (!functions.rbd_group_snap_create2 && flags != 0) {
        throw_missing_function(functions.rbd_group_snap_create2.name());
    }
    auto call = [&] {
        return functions.rbd_group_snap_create2
                   ? functions.rbd_group_snap_create2(use.get(), group.name.c_str(), name.c_str(),
                                                      flags)
                   : functions.rbd_group_snap_create(use.get(), group.name.c_str(), name.c_str());
    };
    check<GroupError>(with_locks(group, call), [&] { return describe("creating", name, group); });
}

void remove_snapshot(const Group& group, const std::string& name) {
    auto use = group.ioctx.use();
    check<GroupError>(use->rbd_group_snap_remove(use.get(), group.name.c_str(), name.c_str()),
                      [&] { return describe("removing", name, group); });
}

void rename_snapshot(const Group& group, const std::string& source,
                     const std::string& destination) {
    auto use = group.ioctx.use();
    check<GroupError>(
        use->rbd_group_snap_rename(use.get(), group.name.c_str(), source.c_str(),
                                   destination.c_str()),
        [&] { return describe("renaming", source, group) + " to " + quoted(destination); });
}

std::vector<Snapshot> snapshots(const Group& group) {
    auto use = group.ioctx.use();
    const auto& functions = use.functions();
    auto what = [&] { return "error listing snapshots" + of(group); };
    std::vector<Snapshot> found;
    if (functions.rbd_group_snap_list2) {
        auto records = sized_records<abi::rbd_group_snap_info2_t, GroupError>(
            [&](auto* array, std::size_t* count) {
                return functions.rbd_group_snap_list2(use.get(), group.name.c_str(), array, count);
            },
            what);
        Records<abi::rbd_group_snap_info2_t> owned(std::move(records),
                                                   functions.rbd_group_snap_list2_cleanup);
        for (const auto& record : owned) {
            found.push_back(snapshot_of(record));
        }
    } else {
        using Record = abi::rbd_group_snap_info_t;
        auto records = sized_records<Record, GroupError>(
            [&](Record* array, std::size_t* count) {
                return functions.rbd_group_snap_list(use.get(), group.name.c_str(), array,
                                                     sizeof(Record), count);
            },
            what);
        SizedRecords owned(std::move(records), functions.rbd_group_snap_list_cleanup);
        for (const auto& record : owned) {
            found.push_back({text_of(record.name), static_cast<int>(record.state), {}});
        }
    }
    auto any = [](const Header& header) { return header.has_snapshots(); };
    if (found.empty() && with_header(group, "snapshots", any)) {
        throw GroupError(ENOENT, "error listing snapshots" + of(group) +
                                     ": librbd reports none, but there are some");
    }
    return found;
}

Snapshot snapshot_info(const Group& group, const std::string& name) {
    auto use = group.ioctx.use();
    struct Info {
        explicit Info(const abi::Functions& table) : functions(table) {}
        ~Info() {
            if (filled) {
                functions.rbd_group_snap_get_info_cleanup(&record);
            }
        }
        Info(const Info&) = delete;
        Info& operator=(const Info&) = delete;
        const abi::Functions& functions;
        abi::rbd_group_snap_info2_t record{};
        bool filled = false;
    } info(use.functions());
    check<GroupError>(
        use->rbd_group_snap_get_info(use.get(), group.name.c_str(), name.c_str(), &info.record),
        [&] { return describe("getting", name, group); });
    info.filled = true;
    return snapshot_of(info.record);
}

void rollback(const Group& group, const std::string& name, const Progress& progress) {
    auto use = group.ioctx.use();
    auto call = [&] {
        return use->rbd_group_snap_rollback_with_progress(use.get(), group.name.c_str(),
                                                          name.c_str(), report_progress,
                                                          progress_argument(progress));
    };
    check<GroupError>(with_locks(group, call), [&] {
        return "error rolling group " + quoted(group.name) + " back to snapshot " + quoted(name) +
               group.ioctx.place();
    });
}

Owner of_image(const Image& image) {
    auto use = image.use();
    abi::rbd_group_info_t info{};
    check(use->rbd_get_group(use.get(), &info, sizeof info),
          [&] { return "error getting the group of " + image.describe(); });
    Owner owner;
    try {
        owner = {text_of(info.name), info.pool};
    } catch (...) {
        use->rbd_group_info_cleanup(&info, sizeof info);
        throw;
    }
    use->rbd_group_info_cleanup(&info, sizeof info);
    return owner;
}

}  // namespace rbdxx::group
