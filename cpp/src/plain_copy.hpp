// Copies bytes from image to image, by reads and writes.
#pragma once

#include <cstdint>

#include <rbdxx/image.hpp>

namespace rbdxx {

// Writes the first `length` bytes of `source` to the same offsets of `destination`, without runs of
// zeroes, where `destination` keeps its data. Returns once all is written. `progress` is called
// with the number of bytes done and `length`; a negative return value ends the copy with that
// error.
void copy_plainly(const Image& source, const Image& destination, uint64_t length,
                  const Progress& progress);

// Makes the first `length` bytes read as zeroes, and frees their space.
void wipe(const Image& image, uint64_t length);

}  // namespace rbdxx
