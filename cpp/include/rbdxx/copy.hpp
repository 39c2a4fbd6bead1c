// Copies of an image: its data alone, or with all its snapshots.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx::copy {

// Copies the data to a new image, without the snapshots. Runs of `sparse_size` zero bytes take no
// space in it; `sparse_size` is a power of two, 4096 or more, or 0 for librbd's default. Throws
// Error: EEXIST if the name is taken. Implements: rbd_copy_with_progress4
void create(const Image& image, const IoCtx& ioctx, const std::string& name,
            const ImageOptions& options, uint64_t sparse_size, const Progress& progress);

// Copies the data to an open image, which keeps its name and options. Throws Error: EINVAL if that
// image is smaller, EROFS if it is open read-only. Implements: rbd_copy_with_progress2
void into(const Image& image, const Image& destination, const Progress& progress);

// Copies the image to a new one, with its snapshots. The copy of a clone is a clone of the same
// parent, unless options.flatten is 1. Throws Error: EEXIST if the name is taken.
// Implements: rbd_deep_copy_with_progress
void deep(const Image& image, const IoCtx& ioctx, const std::string& name,
          const ImageOptions& options, const Progress& progress);

}  // namespace rbdxx::copy
