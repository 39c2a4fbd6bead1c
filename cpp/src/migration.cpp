#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/migration.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::migration {

namespace {

// One of the three steps that take an image of the migration and report progress.
template <class Function>
void step(const IoCtx& ioctx, const Use<IoCtxState>& use, const Function& function,
          const char* verb, const std::string& name, const Progress& progress) {
    check(function(use.get(), name.c_str(), report_progress, progress_argument(progress)), [&] {
        return "error " + std::string(verb) + " the migration of image " + quoted(name) +
               ioctx.place();
    });
}

}  // namespace

void prepare(const IoCtx& ioctx, const std::string& name, const IoCtx& destination_ioctx,
             const std::string& destination, const ImageOptions& options) {
    auto use = ioctx.use();
    if (options.flatten.value_or(0) != 0 && library_info().release < 16) {
        // It would leave the parent without having copied what is read from there.
        throw MissingFunction(
            "the loaded librbd cannot flatten in a migration: Ceph 16 and newer can");
    }
    auto destination_use = destination_ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_migration_prepare(use.get(), name.c_str(), destination_use.get(),
                                     destination.c_str(), handle.get()),
          [&] {
              return "error preparing the migration of image " + quoted(name) + ioctx.place() +
                     " to " + quoted(destination) + destination_ioctx.place();
          });
}

void prepare_import(const std::string& source, const IoCtx& ioctx, const std::string& name,
                    const ImageOptions& options) {
    auto use = ioctx.use();
    OptionsHandle handle(options);
    // The source's text may hold keys to it: messages leave it out.
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

}  // namespace rbdxx::migration
