// Moving an image to another pool or layout while it is in use: prepare, execute, then commit or
// abort.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx::migration {

// One end of a migration.
struct End {
    int64_t pool_id = -1;  // of the image, as the other fields
    std::string pool_namespace;
    std::string image_name;
    std::string image_id;
};

// The state of a migration.
struct Status {
    End source;  // empty if the source is not an image of the cluster
    End destination;
    int state = 0;  // constants::IMAGE_MIGRATION_STATE_*
    std::string description;
};

// Every call throws Error if it fails, ENOENT if there is no such image.

// Creates the destination and links it to the source. From now on clients open the destination.
// Throws Error: EBUSY if a client has the source open. Implements: rbd_migration_prepare
void prepare(const IoCtx& ioctx, const std::string& name, const IoCtx& destination_ioctx,
             const std::string& destination, const ImageOptions& options);
// Creates an image whose source is described by the JSON text `source`. Throws MissingFunction
// before Ceph 16. Implements: rbd_migration_prepare_import
void prepare_import(const std::string& source, const IoCtx& ioctx, const std::string& name,
                    const ImageOptions& options);
// Copies the data to the destination. Implements: rbd_migration_execute_with_progress
void execute(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Ends the migration and removes the source. Implements: rbd_migration_commit_with_progress
void commit(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Undoes the migration and removes the destination. Implements: rbd_migration_abort_with_progress
void abort(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Returns the ends and the state of an image's migration. Implements: rbd_migration_status
Status status(const IoCtx& ioctx, const std::string& name);
// Returns a JSON text that describes the source of an image in migration. Throws MissingFunction
// before Ceph 16. Implements: rbd_get_migration_source_spec
std::string source(const Image& image);

// Returns whether librbd can compute a difference of an image in migration, or of one whose parents
// are. It cannot if data come from a source that is not an image (it ends the process), nor from a
// snapshot that is older than the migration (it leaves out the source's data).
bool knows_difference(const Image& image, bool from_snapshot, bool include_parent);

// Throws Error, whose message begins with `message`, if a rollback would leave data newer than the
// snapshot: librbd does not undo writes to the source between the snapshot and the migration.
void require_rollback(const Image& image, const std::string& message);

// Throws Error, whose message begins with `message`, if an image of `size` bytes would hide data
// that its source still has: librbd shows it again once the image is larger, and Ceph 14 may end
// the process.
void require_shrink(const Image& image, uint64_t size, const std::string& message);

}  // namespace rbdxx::migration
