// Copies of an image: of its data, or with all its snapshots.
#pragma once

#include <cstdint>
#include <string>

#include <rbdxx/image.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx::copy {

// Into a new image, without snapshots. Runs of zeroes of `sparse_size` bytes, a power of two of
// 4096 or more, take no space in it; 0 for librbd's own choice.
// Implements: rbd_copy_with_progress4
void create(const Image& image, const IoCtx& ioctx, const std::string& name,
            const ImageOptions& options, uint64_t sparse_size, const Progress& progress);

// Into an open image of at least the same size, which keeps its name and options. Implements:
// rbd_copy_with_progress2
void into(const Image& image, const Image& destination, const Progress& progress);

// Into a new image, with the snapshots, and as a clone of the same parent unless flattened.
// Implements: rbd_deep_copy_with_progress
void deep(const Image& image, const IoCtx& ioctx, const std::string& name,
          const ImageOptions& options, const Progress& progress);

}  // namespace rbdxx::copy
