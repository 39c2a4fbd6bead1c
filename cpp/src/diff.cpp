#include <rbdxx/api.hpp>
#include <rbdxx/constants.hpp>
#include <rbdxx/diff.hpp>
#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/migration.hpp>
#include <rbdxx/snapshot.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <vector>

namespace rbdxx::diff {

namespace {

using Callback = int (*)(uint64_t, std::size_t, int, void*);

// An older librbd knows snapshots only by name.
std::string name_of(const Image& image, const Request& request) {
    for (const snapshot::Snapshot& entry : snapshot::list(image)) {
        if (entry.id == *request.from_id) {
            return entry.name;
        }
    }
    throw Error(ENOENT, describe(image, request));
}

int call(const Image& image, const Request& request, Callback callback, void* argument) {
    auto use = image.use();
    if (request.from_id && use->rbd_diff_iterate3) {
        uint32_t flags =
            (request.include_parent ? uint32_t{constants::DIFF_ITERATE_FLAG_INCLUDE_PARENT} : 0U) |
            (request.whole_object ? uint32_t{constants::DIFF_ITERATE_FLAG_WHOLE_OBJECT} : 0U);
        return use->rbd_diff_iterate3(use.get(), *request.from_id, request.offset, request.length,
                                      flags, callback, argument);
    }
    std::optional<std::string> name = request.from_name;
    if (request.from_id && *request.from_id != 0) {
        name = name_of(image, request);
    }
    return use->rbd_diff_iterate2(use.get(), name ? name->c_str() : nullptr, request.offset,
                                  request.length, request.include_parent ? 1 : 0,
                                  request.whole_object ? 1 : 0, callback, argument);
}

// Leaves out the extents before the region.
struct Cut {
    uint64_t start;
    Callback callback;
    void* argument;
};

int visit_cut(uint64_t offset, std::size_t length, int exists, void* argument) noexcept {
    const auto& cut = *static_cast<const Cut*>(argument);
    const uint64_t before = offset < cut.start ? cut.start - offset : 0;
    return before < length ? cut.callback(offset + before, length - before, exists, cut.argument)
                           : 0;
}

// If librbd of Ceph 14 uses the object map, it adds the offset inside an object twice. Therefore
// the request begins where the region's first object begins.
int call_anywhere(const Image& image, const Request& request, Callback callback, void* argument) {
    if (!request.whole_object || library_info().release >= 16) {
        return call(image, request, callback, argument);
    }
    const ImageInfo info = image.info();
    // For a region beyond the image, librbd reports the error.
    const uint64_t inside = request.offset < info.size ? request.offset % info.obj_size : 0;
    Request whole = request;
    whole.offset -= inside;
    whole.length += std::min(inside, std::numeric_limits<uint64_t>::max() - whole.length);
    Cut cut{request.offset, callback, argument};
    return call(image, whole, visit_cut, &cut);
}

// Returns whether the image has had its present size since a snapshot. Snapshots after the state
// that is read count too, because librbd does not report which one that is.
bool never_resized_since(const Image& image, const Request& from, uint64_t size) {
    const std::vector<snapshot::Snapshot> snapshots = snapshot::list(image);
    uint64_t first = from.from_id.value_or(std::numeric_limits<uint64_t>::max());
    if (from.from_name) {
        for (const snapshot::Snapshot& entry : snapshots) {
            // Snapshots of other namespaces may have the same name.
            first = entry.name == *from.from_name ? std::min(first, entry.id) : first;
        }
    }
    return std::all_of(snapshots.begin(), snapshots.end(), [&](const snapshot::Snapshot& entry) {
        return entry.id < first || entry.size == size;
    });
}

bool from_snapshot(const Request& request) {
    return request.from_name || request.from_id.value_or(0) != 0;
}

// The region as one extent, with librbd's errors for the request.
int call_all(const Image& image, const Request& request, Callback callback, void* argument) {
    Request nothing = request;
    nothing.whole_object = false;
    const uint64_t size = image.size();
    if (request.offset < size) {
        nothing.length = 0;
    }
    const int result = call(image, nothing, callback, argument);
    if (result < 0 || request.length == 0 || request.offset >= size) {
        return result;
    }
    return callback(request.offset, std::min(request.length, size - request.offset), 1, argument);
}

int answer(const Image& image, const Request& request, Callback callback, void* argument) {
    if (!migration::knows_difference(image, from_snapshot(request), request.include_parent)) {
        return call_all(image, request, callback, argument);
    }
    Request asked = request;
    asked.whole_object = request.whole_object && maps_tell(image, request);
    return call_anywhere(image, asked, callback, argument);
}

using Visit = std::function<int(const Extent&)>;

int visit_extent(uint64_t offset, std::size_t length, int exists, void* visit) noexcept {
    return (*static_cast<const Visit*>(visit))({offset, length, exists != 0});
}

// The number of extents that are collected between two calls of progress.
constexpr std::size_t progress_interval = 4096;

struct Collector {
    Array extents;
    const Progress& progress;
    const bool merge;
    std::size_t seen = 0;
    bool no_memory = false;

    bool merges(const Extent& next) {
        if (!merge || extents.size() == 0) {
            return false;
        }
        Extent& last = extents.back();
        if (last.offset + last.length != next.offset || last.exists != next.exists) {
            return false;
        }
        last.length += next.length;
        return true;
    }
};

int collect_extent(uint64_t offset, std::size_t length, int exists, void* argument) noexcept {
    auto& collector = *static_cast<Collector*>(argument);
    const Extent extent{offset, length, exists != 0};
    if (!collector.merges(extent) && !collector.extents.append(extent)) {
        collector.no_memory = true;
        return -ENOMEM;
    }
    return ++collector.seen % progress_interval == 0 ? collector.progress(0, 0) : 0;
}

}  // namespace

bool Array::grow() noexcept {
    std::size_t capacity = capacity_ == 0 ? 64 : capacity_ * 2;
    void* grown = std::realloc(static_cast<void*>(data_), capacity * sizeof(Extent));
    if (grown == nullptr) {
        return false;
    }
    data_ = static_cast<Extent*>(grown);
    capacity_ = capacity;
    return true;
}

bool maps_tell(const Image& image, const Request& request) {
    {
        auto use = image.use();
        // The release that brought this function is the first that reports offsets in the decrypted
        // image. Older ones report offsets in the stored data.
        if (!use->rbd_diff_iterate3 && encryption::may_be_loaded(image)) {
            return false;
        }
    }
    const uint64_t size = image.size();
    // For an empty region, librbd would end the process.
    if (request.length == 0 || request.offset >= size) {
        return false;
    }
    // librbd of Ceph 14 reports wrong offsets for striped images.
    if (library_info().release < 16 && image.stripe_count() > 1) {
        return false;
    }
    // librbd does not find the data that the image lost while it was smaller in that time's maps.
    return !from_snapshot(request) || never_resized_since(image, request, size);
}

std::string describe(const Image& image, const Request& request) {
    std::string from = request.from_name ? " from snapshot " + quoted(*request.from_name)
                       : request.from_id ? " from snapshot id " + std::to_string(*request.from_id)
                                         : std::string();
    return "error generating the diff" + from + " of " + image.describe();
}

void iterate(const Image& image, const Request& request, const Visit& visit) {
    check(answer(image, request, visit_extent, const_cast<Visit*>(&visit)),
          [&] { return describe(image, request); });
}

Array collect(const Image& image, const Request& request, bool merge, const Progress& progress) {
    Collector collector{{}, progress, merge};
    int result = answer(image, request, collect_extent, &collector);
    if (collector.no_memory) {
        throw std::bad_alloc();
    }
    check(result, [&] { return describe(image, request); });
    return std::move(collector.extents);
}

}  // namespace rbdxx::diff
