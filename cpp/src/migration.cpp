#include <rbdxx/api.hpp>
#include <rbdxx/constants.hpp>
#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/migration.hpp>
#include <rbdxx/parent.hpp>
#include <rbdxx/sized.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

namespace rbdxx::migration {

namespace {

// Runs one of the three steps that take an image of the migration and report progress.
template <class Function>
void step(const IoCtx& ioctx, const Use<IoCtxState>& use, const Function& function,
          const char* verb, const std::string& name, const Progress& progress) {
    check(function(use.get(), name.c_str(), report_progress, progress_argument(progress)), [&] {
        return "error " + std::string(verb) + " the migration of image " + quoted(name) +
               ioctx.place();
    });
}

// The stored data is copied, because librbd does not know about encryption in a migration.
void require_whole_blocks(const IoCtx& ioctx, const std::string& name, const std::string& what) {
    std::optional<Image> image;
    try {
        OpenOptions options;
        options.name = name;
        options.read_only = true;
        image = Image::open(ioctx, options);
    } catch (const Error&) {
        // The call that names the image reports what is wrong.
        return;
    }
    encryption::require_whole_blocks(*image, image->size(), what);
    image->close();
}

}  // namespace

void prepare(const IoCtx& ioctx, const std::string& name, const IoCtx& destination_ioctx,
             const std::string& destination, const ImageOptions& options) {
    auto use = ioctx.use();
    if (options.flatten.value_or(0) != 0 && library_info().release < 16) {
        // librbd would detach the parent without having copied its data.
        throw MissingFunction(
            "the loaded librbd cannot flatten in a migration: Ceph 16 and newer can");
    }
    const auto preparing = [&] {
        return "error preparing the migration of image " + quoted(name) + ioctx.place() + " to " +
               quoted(destination) + destination_ioctx.place();
    };
    require_whole_blocks(ioctx, name, preparing());
    auto destination_use = destination_ioctx.use();
    OptionsHandle handle(options);
    auto call = [&] {
        return use->rbd_migration_prepare(use.get(), name.c_str(), destination_use.get(),
                                          destination.c_str(), handle.get());
    };
    check(lock::with_lock(ioctx, {name}, call), preparing);
}

void prepare_import(const std::string& source, const IoCtx& ioctx, const std::string& name,
                    const ImageOptions& options) {
    auto use = ioctx.use();
    OptionsHandle handle(options);
    // The text may contain keys of the source, so messages leave it out.
    check(use->rbd_migration_prepare_import(source.c_str(), use.get(), name.c_str(), handle.get()),
          [&] { return "error preparing the import of image " + quoted(name) + ioctx.place(); });
}

void execute(const IoCtx& ioctx, const std::string& name, const Progress& progress) {
    auto use = ioctx.use();
    step(ioctx, use, use->rbd_migration_execute_with_progress, "executing", name, progress);
}

void commit(const IoCtx& ioctx, const std::string& name, const Progress& progress) {
    auto use = ioctx.use();
    step(ioctx, use, use->rbd_migration_commit_with_progress, "committing", name, progress);
}

void abort(const IoCtx& ioctx, const std::string& name, const Progress& progress) {
    auto use = ioctx.use();
    step(ioctx, use, use->rbd_migration_abort_with_progress, "aborting", name, progress);
}

Status status(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    abi::rbd_image_migration_status_t record{};
    check(use->rbd_migration_status(use.get(), name.c_str(), &record, sizeof record), [&] {
        return "error getting the migration status of image " + quoted(name) + ioctx.place();
    });
    struct Cleanup {
        const abi::Functions& functions;
        abi::rbd_image_migration_status_t& record;
        ~Cleanup() { functions.rbd_migration_status_cleanup(&record); }
    } cleanup{use.functions(), record};
    Status status;
    status.source = {record.source_pool_id, text_of(record.source_pool_namespace),
                     text_of(record.source_image_name), text_of(record.source_image_id)};
    status.destination = {record.dest_pool_id, text_of(record.dest_pool_namespace),
                          text_of(record.dest_image_name), text_of(record.dest_image_id)};
    status.state = record.state;
    status.description = text_of(record.state_description);
    return status;
}

std::string source(const Image& image) {
    auto use = image.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_get_migration_source_spec(use.get(), text, size);
        },
        [&] { return "error getting the migration source of " + image.describe(); }, 2048);
}

namespace {

bool migrating(const Image& image) {
    return (image.features() & constants::FEATURE_MIGRATING) != 0;
}

// Returns whether the JSON text of a source names an image. Quotes within strings have backslashes.
bool tells_of_image(const std::string& source) {
    std::string text;
    std::copy_if(source.begin(), source.end(), std::back_inserter(text),
                 [](unsigned char letter) { return std::isspace(letter) == 0; });
    return text.find("\"type\":\"native\"") != std::string::npos;
}

// Returns whether the data of an image come from a source that is not an image.
bool imports(const Image& image) {
    if (!migrating(image) || !image.use()->rbd_get_migration_source_spec) {
        return false;
    }
    return !tells_of_image(source(image));
}

// Returns whether no image among the parents imports. Once true, it stays true, because only a new
// image begins to import.
bool has_sound_parents(const Image& image) {
    if (!image.use()->rbd_migration_prepare_import || image.overlap() == 0) {
        return true;
    }
    const parent::Parent found = parent::get(image);
    ImageState& state = *image.state();
    const auto key = std::make_tuple(found.pool_id, found.image_id, found.snapshot_id);
    {
        std::lock_guard<std::mutex> lock(state.parents_mutex);
        if (state.sound_parents.count(key) != 0) {
            return true;
        }
    }
    // Opens its head: whether it imports is the same for every snapshot.
    const Image opened = parent::open(image, found);
    if (imports(opened) || !has_sound_parents(opened)) {
        return false;
    }
    std::lock_guard<std::mutex> lock(state.parents_mutex);
    state.sound_parents.insert(key);
    return true;
}

// Returns whether the image has snapshots that the source had when the import began. Without them,
// all its snapshots have the source's present data.
bool imports_snapshots(const Image& image) {
    return source(image).find("\"snapshots\"") != std::string::npos;
}

}  // namespace

void require_rollback(const Image& image, const std::string& message) {
    // After execute(), nothing is read from the source. The call does not distinguish the source
    // from the real parent of a clone.
    if (migrating(image) && image.overlap() > 0 && (!imports(image) || imports_snapshots(image))) {
        throw Error(
            EOPNOTSUPP,
            message +
                ": the image is in migration, and librbd would keep the data that its "
                "source received after the snapshot. Execute and commit the migration first");
    }
}

void require_shrink(const Image& image, uint64_t size, const std::string& message) {
    // The overlap may or may not count the header of encryption. After execute() there is no
    // overlap.
    if (migrating(image) && size < image.overlap() + image.state()->encryption_header) {
        throw Error(EOPNOTSUPP,
                    message +
                        ": the image is in migration, and librbd would bring back the truncated "
                        "data when the image grows again. Execute and commit the "
                        "migration first");
    }
}

bool knows_difference(const Image& image, bool from_snapshot, bool include_parent) {
    try {
        if (migrating(image)) {
            return !from_snapshot && include_parent && !imports(image);
        }
        return from_snapshot || !include_parent || has_sound_parents(image);
    } catch (const ClosedError&) {
        throw;
    } catch (const Error&) {
        // The parent does not exist any more, or the connection is not known here.
        return false;
    }
}

}  // namespace rbdxx::migration
