// The images of a pool: list, create, clone, rename, remove.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/options.hpp>
#include <rbdxx/progress.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::images {

struct Entry {
    std::string id;
    std::string name;
};

// Implements: rbd_list2
std::vector<Entry> list(const IoCtx& ioctx);

// `size` in bytes. EEXIST where the name is taken. Implements: rbd_create4
void create(const IoCtx& ioctx, const std::string& name, uint64_t size,
            const ImageOptions& options);

// An image of the old format 1, of `size` bytes in objects of 1 << order; 0 for the default.
// Implements: rbd_create
void create_old(const IoCtx& ioctx, const std::string& name, uint64_t size, int order);

// With its data. EBUSY where somebody has it open, ENOTEMPTY where it has snapshots.
// Implements: rbd_remove_with_progress
void remove(const IoCtx& ioctx, const std::string& name, const Progress& progress);

// Implements: rbd_rename
void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination);

}  // namespace rbdxx::images
