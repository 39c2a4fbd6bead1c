// Copies of bytes from image to image, by reads and writes alone.
#pragma once

#include <cstdint>

#include <rbdxx/image.hpp>

namespace rbdxx {

// Writes the first `length` bytes of `source` to the same places of `destination`, but for runs of
// zeroes, which are left as they are there. Returns when all is written. `progress` gets the bytes
// that are done, and `length`; a negative answer ends it with that error.
void copy_plainly(const Image& source, const Image& destination, uint64_t length,
                  const Progress& progress);

// Makes the first `length` bytes read as zeroes, and gives back their space.
void wipe(const Image& image, uint64_t length);

}  // namespace rbdxx
