#include <algorithm>
#include <cerrno>
#include <string>

#include <rbdxx/constants.hpp>
#include <rbdxx/copy.hpp>
#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/snapshot.hpp>

#include "plain_copy.hpp"

namespace rbdxx::copy {

namespace {

// Returns the number of bytes, from the image's beginning, that a copy by librbd may lack.
//
// librbd skips objects that are not in the object map, if it uses the map: at a snapshot, and while
// it holds the exclusive lock. The data that a clone reads from its parent, or an image in
// migration from its source, is not in the image's own objects.
uint64_t doubtful(const Image& image) {
    const uint64_t features = image.features();
    const bool has_map = (features & constants::FEATURE_OBJECT_MAP) != 0;
    const bool never_locks = image.state()->read_only && snapshot::position(image).head();
    if (!has_map || never_locks) {
        return 0;
    }
    const uint64_t size = image.size();
    const bool migrating = (features & constants::FEATURE_MIGRATING) != 0;
    return migrating ? size : std::min(image.overlap(), size);
}

// The progress of the first or the second part of a call, which are librbd's copy and ours.
Progress part_of(const Progress& progress, uint64_t before, uint64_t after) {
    if (!progress) {
        return {};
    }
    return [=, &progress](uint64_t done, uint64_t total) {
        return progress(before + done, before + total + after);
    };
}

// Returns the reason for an EINVAL of librbd: a copy has the stripe unit of its source, and the
// copy's objects must not be smaller than that.
std::string striping(const Image& image, const ImageOptions& options, int code) {
    const uint64_t order = options.order.value_or(0);
    if (code != EINVAL || order == 0 || order >= 64 || options.stripe_unit.value_or(0) != 0) {
        return {};
    }
    try {
        const uint64_t unit = image.stripe_unit();
        const uint64_t size = uint64_t{1} << order;
        return size >= unit
                   ? std::string()
                   : ": order " + std::to_string(order) + " makes objects of " +
                         std::to_string(size) +
                         " bytes, smaller than the source's stripe unit of " +
                         std::to_string(unit) + " bytes; give stripe_unit and stripe_count too";
    } catch (const Error&) {
        return {};
    }
}

// librbd mixes plain and encrypted data: a deep copy is then incomplete, without an error.
void require_whole(const Image& image, const std::string& what) {
    if (encryption::loaded(image)) {
        throw Error(EOPNOTSUPP,
                    what +
                        ": its encryption is loaded; open it without loading encryption to copy "
                        "what is stored, or export and import the plain data");
    }
    encryption::require_whole_blocks(image, image.size(), what);
}

}  // namespace

void create(const Image& image, const IoCtx& ioctx, const std::string& name,
            const ImageOptions& options, uint64_t sparse_size, const Progress& progress) {
    const auto copying = [&] {
        return "error copying " + image.describe() + " to " + quoted(name) + ioctx.place();
    };
    auto use = image.use();
    auto pool = ioctx.use();
    require_whole(image, copying());
    OptionsHandle handle(options);
    const uint64_t rest = doubtful(image);
    const Progress first = part_of(progress, 0, rest);
    const int result =
        use->rbd_copy_with_progress4(use.get(), pool.get(), name.c_str(), handle.get(),
                                     report_progress, progress_argument(first), sparse_size);
    check(result, [&] { return copying() + striping(image, options, -result); });
    if (rest > 0) {
        OpenOptions made;
        made.name = name;
        Image destination = Image::open(ioctx, made);
        copy_plainly(image, destination, rest, part_of(progress, image.size(), 0));
        destination.close();
    }
}

void into(const Image& image, const Image& destination, const Progress& progress) {
    const auto copying = [&] {
        return "error copying " + image.describe() + " into " + destination.describe();
    };
    auto use = image.use();
    auto target = destination.use();
    require_whole(image, copying());
    const uint64_t size = image.size();
    const uint64_t room = destination.size();
    if (size > room && encryption::loaded(destination)) {
        // librbd compares with the size that is stored, header included, and fails at the end.
        throw Error(EINVAL, copying() + ": the encrypted destination has room for " +
                                std::to_string(room) + " bytes, not for " + std::to_string(size));
    }
    const uint64_t rest = doubtful(image);
    if (size <= room) {
        // Where this image has no data, librbd leaves the destination's old data.
        wipe(destination, size);
    }
    const Progress first = part_of(progress, 0, rest);
    check(use->rbd_copy_with_progress2(use.get(), target.get(), report_progress,
                                       progress_argument(first)),
          copying);
    if (rest > 0) {
        copy_plainly(image, destination, rest, part_of(progress, size, 0));
    }
}

void deep(const Image& image, const IoCtx& ioctx, const std::string& name,
          const ImageOptions& options, const Progress& progress) {
    const auto copying = [&] {
        return "error deep-copying " + image.describe() + " to " + quoted(name) + ioctx.place();
    };
    auto use = image.use();
    require_whole(image, copying());
    const auto at = snapshot::position(image);
    if (at.id) {
        // librbd would end the process: it does not copy such snapshots, but looks for this one.
        throw Error(EINVAL, copying() + ": it is set to snapshot id " + std::to_string(*at.id) +
                                ", which is not a user's; set it to its head, or use copy()");
    }
    auto pool = ioctx.use();
    OptionsHandle handle(options);
    const int result =
        use->rbd_deep_copy_with_progress(use.get(), pool.get(), name.c_str(), handle.get(),
                                         report_progress, progress_argument(progress));
    check(result, [&] { return copying() + striping(image, options, -result); });
}

}  // namespace rbdxx::copy
