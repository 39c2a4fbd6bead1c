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
#include <optional>
#include <utility>
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

// Reports the whole objects around extents, which come in order of offset.
class WholeObjects {
public:
    WholeObjects(const Image& image, const Request& request, Callback callback, void* argument)
        : image_(image),
          size_(image.info().obj_size),
          first_(request.offset),
          last_(request.offset +
                std::min(request.length, image.size() - std::min(request.offset, image.size()))),
          callback_(callback),
          argument_(argument) {}

    // Extends the region of a request to whole objects: a change beside the region counts.
    void extend(Request& request) const {
        if (last_ > first_) {
            request.offset = first_ - first_ % size_;
            request.length = (last_ + size_ - 1) / size_ * size_ - request.offset;
        }
    }

    int add(uint64_t offset, uint64_t length, bool exists) {
        while (length > 0) {
            const uint64_t number = offset / size_;
            const int result = number != number_ ? finish() : 0;
            if (result < 0) {
                return result;
            }
            const uint64_t part = std::min(length, (number + 1) * size_ - offset);
            number_ = number;
            found_ += part;
            exists_ = exists_ || exists;
            offset += part;
            length -= part;
        }
        return 0;
    }

    // Reports the last object.
    int finish() {
        const uint64_t found = std::exchange(found_, 0);
        if (found == 0) {
            return 0;
        }
        const uint64_t start = std::max(number_ * size_, first_);
        const uint64_t end = std::min((number_ + 1) * size_, last_);
        if (end <= start) {
            return 0;
        }
        const uint64_t length = end - start;
        int exists = std::exchange(exists_, false) ? 1 : 0;
        if (exists == 0 && found < length) {
            // librbd reports no more of an object that is gone than what had been written.
            exists = is_there(start, end);
        }
        return exists < 0 ? exists : callback_(start, length, exists, argument_);
    }

private:
    // Returns 1 if the object exists, 0 if not, or a negative errno.
    int is_there(uint64_t start, uint64_t end) {
        if (!existing_) {
            existing_.emplace();
            Request everything;
            everything.offset = first_;
            everything.length = last_ - first_;
            everything.whole_object = true;
            const int result = call_anywhere(image_, everything, note, &*existing_);
            if (result < 0) {
                return result;
            }
        }
        const Extent* found = std::lower_bound(
            existing_->begin(), existing_->end(), start,
            [](const Extent& extent, uint64_t at) { return extent.offset + extent.length <= at; });
        return found != existing_->end() && found->offset < end ? 1 : 0;
    }

    static int note(uint64_t offset, std::size_t length, int exists, void* argument) noexcept {
        return exists == 0 || static_cast<Array*>(argument)->append({offset, length, true})
                   ? 0
                   : -ENOMEM;
    }

    const Image& image_;
    const uint64_t size_, first_, last_;
    const Callback callback_;
    void* const argument_;
    uint64_t number_ = 0;
    uint64_t found_ = 0;
    bool exists_ = false;
    // What exists, once that has been asked for.
    std::optional<Array> existing_;
};

int visit_part(uint64_t offset, std::size_t length, int exists, void* argument) noexcept {
    return static_cast<WholeObjects*>(argument)->add(offset, length, exists != 0);
}

// Returns whether librbd would report whole objects from the object maps.
bool reports_objects(const Image& image) {
    return (image.features() & constants::FEATURE_FAST_DIFF) != 0 && image.stripe_count() == 1 &&
           !encryption::may_be_loaded(image);
}

int answer(const Image& image, const Request& request, Callback callback, void* argument) {
    if (!migration::knows_difference(image, from_snapshot(request), request.include_parent)) {
        return call_all(image, request, callback, argument);
    }
    Request asked = request;
    asked.whole_object = request.whole_object && maps_tell(image, request);
    if (request.whole_object && from_snapshot(request) && reports_objects(image)) {
        WholeObjects objects(image, request, callback, argument);
        objects.extend(asked);
        const int result = call_anywhere(image, asked, visit_part, &objects);
        return result < 0 ? result : objects.finish();
    }
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
    // A rollback replaces the map by that of its snapshot, which does not mark what has changed
    // since other snapshots; nor do the maps name what the image lost while it was smaller.
    return !from_snapshot(request);
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
