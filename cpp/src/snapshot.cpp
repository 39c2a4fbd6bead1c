#include <cerrno>
#include <chrono>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/migration.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/snapshot.hpp>
#include <rbdxx/snapshot_namespace.hpp>

#include <mutex>
#include <thread>

namespace rbdxx::snapshot {

namespace {

// The id by which librbd knows the head.
constexpr uint64_t head_id = ~uint64_t{1};

std::string describe(const char* verb, const std::string& name, const Image& image) {
    return "error " + std::string(verb) + " snapshot " + quoted(name) + " of " + image.describe();
}

std::string describe(const char* verb, uint64_t id, const Image& image) {
    return "error " + std::string(verb) + " snapshot id " + std::to_string(id) + " of " +
           image.describe();
}

}  // namespace

std::vector<Snapshot> list(const Image& image) {
    auto use = image.use();
    // rbd_snap_list returns the count. The array that it fills is freed up to its unnamed end.
    std::vector<abi::rbd_snap_info_t> array;
    int count = check(until_sized(
                          int{16},
                          [&](int& size) {
                              array.assign(static_cast<std::size_t>(size) + 1, {});
                              return use->rbd_snap_list(use.get(), array.data(), &size);
                          },
                          sizeof(abi::rbd_snap_info_t)),
                      [&] { return "error listing snapshots of " + image.describe(); });
    if (static_cast<std::size_t>(count) >= array.size()) {
        throw LogicFault("error listing snapshots of " + image.describe() + ": librbd reports " +
                         std::to_string(count) + " entries in an array of " +
                         std::to_string(array.size() - 1));
    }
    std::vector<Snapshot> snapshots;
    try {
        for (int i = 0; i < count; ++i) {
            const auto& entry = array[static_cast<std::size_t>(i)];
            snapshots.push_back({entry.id, entry.size, text_of(entry.name)});
        }
    } catch (...) {
        use->rbd_snap_list_end(array.data());
        throw;
    }
    use->rbd_snap_list_end(array.data());
    return snapshots;
}

bool exists(const Image& image, const std::string& name) {
    auto use = image.use();
    bool answer = false;
    check(use->rbd_snap_exists(use.get(), name.c_str(), &answer),
          [&] { return describe("looking for", name, image); });
    return answer;
}

uint64_t id(const Image& image, const std::string& name) {
    auto use = image.use();
    uint64_t answer = 0;
    check(use->rbd_snap_get_id(use.get(), name.c_str(), &answer),
          [&] { return describe("getting the id of", name, image); });
    return answer;
}

std::string name(const Image& image, uint64_t id) {
    auto use = image.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_snap_get_name(use.get(), id, text, size);
        },
        [&] { return describe("getting the name of", id, image); });
}

timespec timestamp(const Image& image, uint64_t id) {
    auto use = image.use();
    auto message = [&] { return describe("getting the timestamp of", id, image); };
    // librbd ends the process if it is asked for the time of a snapshot that does not exist.
    abi::rbd_snap_namespace_type_t type{};
    check(use->rbd_snap_get_namespace_type(use.get(), id, &type), message);
    timespec answer{};
    check(use->rbd_snap_get_timestamp(use.get(), id, &answer), message);
    return answer;
}

namespace {

// As lock::check_with_lock(), for a call that gives a snapshot a name: EEXIST is not because of the
// lock, but because there is such a snapshot.
template <class Call, class Describe>
void check_new_name(const Image& image, const Call& call, const Describe& describe) {
    lock::check_with_lock(
        image,
        [&] {
            const int result = call();
            if (result == -EEXIST) {
                throw Error(EEXIST, describe());
            }
            return result;
        },
        describe);
}

}  // namespace

void create(const Image& image, const std::string& name, uint32_t flags, const Progress& progress) {
    auto use = image.use();
    const auto& functions = use.functions();
    if (!functions.rbd_snap_create2 && flags != 0) {
        throw_missing_function(functions.rbd_snap_create2.name());
    }
    image.save();
    check_new_name(
        image,
        [&] {
            return functions.rbd_snap_create2
                       ? functions.rbd_snap_create2(use.get(), name.c_str(), flags, report_progress,
                                                    progress_argument(progress))
                       : functions.rbd_snap_create(use.get(), name.c_str());
        },
        [&] { return describe("creating", name, image); });
}

void remove(const Image& image, const std::string& name) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_snap_remove(use.get(), name.c_str()); },
        [&] { return describe("removing", name, image); });
}

void remove_with_flags(const Image& image, const std::string& name, uint32_t flags,
                       const Progress& progress) {
    auto use = image.use();
    lock::check_with_lock(
        image,
        [&] {
            return use->rbd_snap_remove2(use.get(), name.c_str(), flags, report_progress,
                                         progress_argument(progress));
        },
        [&] { return describe("removing", name, image) + " with flags " + std::to_string(flags); });
}

void remove_by_id(const Image& image, uint64_t id) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_snap_remove_by_id(use.get(), id); },
        [&] { return describe("removing", id, image); });
}

void rename(const Image& image, const std::string& source, const std::string& destination) {
    auto use = image.use();
    check_new_name(
        image, [&] { return use->rbd_snap_rename(use.get(), source.c_str(), destination.c_str()); },
        [&] { return describe("renaming", source, image) + " to " + quoted(destination); });
}

void rollback(const Image& image, const std::string& name, const Progress& progress) {
    auto use = image.use();
    const auto message = [&] {
        return "error rolling " + image.describe() + " back to snapshot " + quoted(name);
    };
    migration::require_rollback(image, message());
    const SizeChange change(image);
    lock::check_with_lock(
        image,
        [&] {
            return use->rbd_snap_rollback_with_progress(use.get(), name.c_str(), report_progress,
                                                        progress_argument(progress));
        },
        message);
}

void protect(const Image& image, const std::string& name) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_snap_protect(use.get(), name.c_str()); },
        [&] { return describe("protecting", name, image); });
}

void unprotect(const Image& image, const std::string& name) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_snap_unprotect(use.get(), name.c_str()); },
        [&] { return describe("unprotecting", name, image); });
}

bool is_protected(const Image& image, const std::string& name) {
    auto use = image.use();
    int answer = 0;
    check(use->rbd_snap_is_protected(use.get(), name.c_str(), &answer),
          [&] { return describe("checking the protection of", name, image); });
    return answer == 1;
}

namespace {

// Surrounds a call after which librbd reads from another part of the parent.
class ParentChange {
public:
    explicit ParentChange(ImageState& image) : image_(image) {
        std::this_thread::sleep_for(image.until_parent_closes());
    }
    ~ParentChange() { image_.parent_since.store(std::chrono::steady_clock::now()); }
    ParentChange(const ParentChange&) = delete;
    ParentChange& operator=(const ParentChange&) = delete;

private:
    ImageState& image_;
};

}  // namespace

void set(const Image& image, const std::optional<std::string>& name) {
    auto use = image.use();
    const SizeChange change(image);
    std::lock_guard<std::mutex> lock(image.state()->snapshot_mutex);
    const ParentChange change_of_parent(*image.state());
    check(use->rbd_snap_set(use.get(), name ? name->c_str() : nullptr), [&] {
        return name ? "error setting " + image.describe() + " to snapshot " + quoted(*name)
                    : "error setting " + image.describe() + " to its head";
    });
    // An empty name means the head, too.
    image.state()->snapshot_name = name && !name->empty() ? name : std::nullopt;
    image.state()->snapshot_id.reset();
}

void set_by_id(const Image& image, uint64_t id) {
    auto use = image.use();
    const SizeChange change(image);
    std::lock_guard<std::mutex> lock(image.state()->snapshot_mutex);
    const ParentChange change_of_parent(*image.state());
    check(use->rbd_snap_set_by_id(use.get(), id), [&] {
        return "error setting " + image.describe() + " to snapshot id " + std::to_string(id);
    });
    image.state()->snapshot_name.reset();
    image.state()->snapshot_id = id == head_id ? std::nullopt : std::optional(id);
}

Position position(const Image& image) {
    Position found;
    {
        ImageState& state = *image.state();
        std::lock_guard<std::mutex> lock(state.snapshot_mutex);
        found = {state.snapshot_name, state.snapshot_id};
    }
    if (!found.id) {
        return found;
    }
    try {
        if (snapshot_namespace::type(image, *found.id) == constants::SNAP_NAMESPACE_TYPE_USER) {
            for (auto& snapshot : list(image)) {
                if (snapshot.id == *found.id) {
                    return {std::move(snapshot.name), std::nullopt};
                }
            }
        }
    } catch (const Error& error) {
        // The snapshot was removed during the call and has no name.
        if (error.code() != ENOENT) {
            throw;
        }
    }
    return found;
}

uint64_t limit(const Image& image) {
    auto use = image.use();
    uint64_t answer = 0;
    check(use->rbd_snap_get_limit(use.get(), &answer),
          [&] { return "error getting the snapshot limit of " + image.describe(); });
    return answer;
}

void set_limit(const Image& image, uint64_t limit) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_snap_set_limit(use.get(), limit); },
        [&] {
            return "error setting the snapshot limit of " + image.describe() + " to " +
                   std::to_string(limit);
        });
}

}  // namespace rbdxx::snapshot
