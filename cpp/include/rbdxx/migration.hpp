// Moving an image to another pool or layout while it is in use: prepare, execute, then commit or
// abort.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx::migration {

struct End {
    int64_t pool_id = -1;  // of an image, as all that follows
    std::string pool_namespace;
    std::string image_name;
    std::string image_id;
};

struct Status {
    End source;  // empty where the source is not an image of the cluster
    End destination;
    int state = 0;  // IMAGE_MIGRATION_STATE_*
    std::string description;
};

// Implements: rbd_migration_prepare
void prepare(const IoCtx& ioctx, const std::string& name, const IoCtx& destination_ioctx,
             const std::string& destination, const ImageOptions& options);
// From a source that the JSON text `source` tells. Implements: rbd_migration_prepare_import
void prepare_import(const std::string& source, const IoCtx& ioctx, const std::string& name,
                    const ImageOptions& options);
// Copies the data. Implements: rbd_migration_execute_with_progress
void execute(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Removes the source. Implements: rbd_migration_commit_with_progress
void commit(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Removes the destination. Implements: rbd_migration_abort_with_progress
void abort(const IoCtx& ioctx, const std::string& name, const Progress& progress);
// Implements: rbd_migration_status
Status status(const IoCtx& ioctx, const std::string& name);
// JSON text that tells where an image in migration comes from.
// Implements: rbd_get_migration_source_spec
std::string source(const Image& image);

// Whether librbd can tell the difference that a request asks for, of an image in migration or of
// one whose parents are. It cannot where the data come from what is not an image (it ends the
// process), nor from a snapshot that is older than the migration (it leaves out the source's data).
bool knows_difference(const Image& image, bool from_snapshot, bool include_parent);

// Throws, with the beginning of a message, where a rollback would leave data that are newer than
// the snapshot: librbd does not undo what the source got between the snapshot and the migration.
void require_rollback(const Image& image, const std::string& message);

// Throws, with the beginning of a message, where an image of `size` bytes would hide data that its
// source still has: librbd shows it again once the image is larger, and Ceph 14 may end the
// process.
void require_shrink(const Image& image, uint64_t size, const std::string& message);

}  // namespace rbdxx::migration
