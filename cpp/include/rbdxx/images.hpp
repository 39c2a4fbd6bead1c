// The images of a pool: list, create, rename, remove.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/options.hpp>
#include <rbdxx/progress.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::images {

// An image of the pool.
struct Entry {
    std::string id;
    std::string name;
};

// Returns the images of the pool and namespace, without those in the trash. Implements: rbd_list2
std::vector<Entry> list(const IoCtx& ioctx);

// Creates an image of `size` bytes. Throws Error: EEXIST if the name is taken, EINVAL for options
// that librbd refuses. Implements: rbd_create4
void create(const IoCtx& ioctx, const std::string& name, uint64_t size,
            const ImageOptions& options);

// Creates an image of the old format 1, of `size` bytes in objects of 1 << order bytes. An order of
// 0 means librbd's default. Throws as create() does. Implements: rbd_create
void create_old(const IoCtx& ioctx, const std::string& name, uint64_t size, int order);

// Removes an image and its data. Throws Error: ENOENT if there is no such image, EBUSY if a client
// has it open, ENOTEMPTY if it has snapshots. Implements: rbd_remove_with_progress
void remove(const IoCtx& ioctx, const std::string& name, const Progress& progress);

// Renames an image. Throws Error: ENOENT if there is no image `source`, EEXIST if the new name is
// taken. Implements: rbd_rename
void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination);

}  // namespace rbdxx::images
