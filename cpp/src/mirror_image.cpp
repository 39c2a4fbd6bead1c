#include <cstdlib>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/mirror_image.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::mirror_image {

void enable(const Image& image, int mode) {
    auto use = image.use();
    const auto& functions = use.functions();
    if (!functions.rbd_mirror_image_enable2 && mode != constants::MIRROR_IMAGE_MODE_JOURNAL) {
        throw_missing_function(functions.rbd_mirror_image_enable2.name());
    }
    lock::check_with_lock(
        image,
        [&] {
            return functions.rbd_mirror_image_enable2
                       ? functions.rbd_mirror_image_enable2(
                             use.get(), static_cast<abi::rbd_mirror_image_mode_t>(mode))
                       : functions.rbd_mirror_image_enable(use.get());
        },
        [&] { return "error enabling mirroring of " + image.describe(); });
}

void disable(const Image& image, bool force) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_mirror_image_disable(use.get(), force); },
        [&] { return "error disabling mirroring of " + image.describe(); });
}

void promote(const Image& image, bool force) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_mirror_image_promote(use.get(), force); },
        [&] { return "error promoting " + image.describe() + " to primary"; });
}

void demote(const Image& image) {
    auto use = image.use();
    image.save();
    lock::check_with_lock(
        image, [&] { return use->rbd_mirror_image_demote(use.get()); },
        [&] { return "error demoting " + image.describe() + " to secondary"; });
}

void resync(const Image& image) {
    auto use = image.use();
    check(use->rbd_mirror_image_resync(use.get()),
          [&] { return "error resyncing " + image.describe(); });
}

uint64_t create_snapshot(const Image& image, uint32_t flags) {
    auto use = image.use();
    const auto& functions = use.functions();
    if (!functions.rbd_mirror_image_create_snapshot2 && flags != 0) {
        throw_missing_function(functions.rbd_mirror_image_create_snapshot2.name());
    }
    uint64_t id = 0;
    image.save();
    lock::check_with_lock(
        image,
        [&] {
            return functions.rbd_mirror_image_create_snapshot2
                       ? functions.rbd_mirror_image_create_snapshot2(use.get(), flags, &id)
                       : functions.rbd_mirror_image_create_snapshot(use.get(), &id);
        },
        [&] { return "error creating mirror snapshot of " + image.describe(); });
    return id;
}

mirrored::ImageInfo info(const Image& image) {
    auto use = image.use();
    abi::rbd_mirror_image_info_t record{};
    check(use->rbd_mirror_image_get_info(use.get(), &record, sizeof record),
          [&] { return "error getting mirror info of " + image.describe(); });
    mirrored::ImageInfo found;
    try {
        found = mirrored::info_of(record);
    } catch (...) {
        mirrored::free_info(use.functions(), record);
        throw;
    }
    mirrored::free_info(use.functions(), record);
    return found;
}

int mode(const Image& image) {
    auto use = image.use();
    abi::rbd_mirror_image_mode_t mode{};
    check(use->rbd_mirror_image_get_mode(use.get(), &mode),
          [&] { return "error getting mirror mode of " + image.describe(); });
    return static_cast<int>(mode);
}

std::string instance_id(const Image& image) {
    auto use = image.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_mirror_image_get_instance_id(use.get(), text, size);
        },
        [&] { return "error getting mirror instance id of " + image.describe(); });
}

mirrored::ImageStatus status(const Image& image) {
    auto use = image.use();
    const auto& functions = use.functions();
    auto what = [&] { return "error getting mirror status of " + image.describe(); };
    mirrored::ImageStatus found;
    if (functions.rbd_mirror_image_get_global_status) {
        abi::rbd_mirror_image_global_status_t record{};
        check(functions.rbd_mirror_image_get_global_status(use.get(), &record, sizeof record),
              what);
        try {
            found = mirrored::status_of(record);
        } catch (...) {
            functions.rbd_mirror_image_global_status_cleanup(&record);
            throw;
        }
        functions.rbd_mirror_image_global_status_cleanup(&record);
        return found;
    }
    abi::rbd_mirror_image_status_t record{};
    check(functions.rbd_mirror_image_get_status(use.get(), &record, sizeof record), what);
    try {
        found = mirrored::status_of(record);
    } catch (...) {
        std::free(record.name);
        std::free(record.description);
        mirrored::free_info(functions, record.info);
        throw;
    }
    // This release has no clean-up function: its strings come from malloc.
    std::free(record.name);
    std::free(record.description);
    mirrored::free_info(functions, record.info);
    return found;
}

}  // namespace rbdxx::mirror_image
