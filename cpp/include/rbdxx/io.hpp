// Reading and writing an image's data. Each call returns once librbd has completed it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <rbdxx/image.hpp>

// Offsets and lengths are bytes. Buffers belong to the caller, who keeps them until the call
// returns. Any number of threads may call at once. `flags` are hints, LIBRADOS_OP_FLAG_FADVISE_*
// bits.
//
// Each call throws Error if librbd fails, EROFS for a write to a snapshot or a read-only image, and
// ClosedError if the image is closed.
namespace rbdxx::io {

// Bytes. Longer reads and writes are made in pieces of this size, because librbd's synchronous
// calls return an int or refuse 2 GiB and more.
inline constexpr uint64_t piece = uint64_t{1} << 30;

// Reads into `data`. Returns the number of bytes read, fewer than `length` only at the end of the
// image.
// Implements: rbd_read, rbd_read2
uint64_t read(const Image& image, char* data, uint64_t offset, uint64_t length, int flags = 0);

// Returns how many of `length` bytes at `offset` are within the image.
uint64_t clip(const Image& image, uint64_t offset, uint64_t length);

// Writes `length` bytes of `data`. Returns `length`. Throws IncompleteWrite if the image ends
// earlier; what is within the image is written then. Implements: rbd_write, rbd_write2
uint64_t write(const Image& image, const char* data, uint64_t offset, uint64_t length,
               int flags = 0);

// Frees the space of a region, which reads as zeroes afterwards. librbd may leave a beginning and
// an end of the region as they are, if they do not fill a block. Returns the number of bytes
// discarded. Implements: rbd_discard
uint64_t discard(const Image& image, uint64_t offset, uint64_t length);

// Returns the flags if librbd accepts them, else throws MissingFunction: librbd of Ceph 14 would
// end the process.
int known_zero_flags(int zero_flags);

// Writes zeroes over the whole region, also where discard() would leave data. Returns `length`.
// `zero_flags`: constants::WRITE_ZEROES_FLAG_*. Throws MissingFunction for flags that librbd does
// not know. Implements: rbd_write_zeroes
uint64_t write_zeroes(const Image& image, uint64_t offset, uint64_t length, int zero_flags);

// Writes `data` (`size` bytes) again and again over `length` bytes, a multiple of `size`. Returns
// `length`. Implements: rbd_writesame
uint64_t write_same(const Image& image, const char* data, uint64_t size, uint64_t offset,
                    uint64_t length, int flags = 0);

// Writes `data` if the image holds `expected` there; both are `length` bytes. Returns `length`.
// Throws CompareMismatch if the image holds other data; then nothing is written.
// Implements: rbd_compare_and_write
uint64_t compare_and_write(const Image& image, const char* expected, const char* data,
                           uint64_t offset, uint64_t length, int flags = 0);

// Computes where in the image a comparison found other data. librbd reports the distance from the
// beginning of the comparison, but counts it within the object.
class Difference {
public:
    // For a comparison of `length` bytes at `offset` of an open image.
    Difference(const Image& image, uint64_t offset, uint64_t length);
    // Returns the offset in the image for the distance `told` that librbd has reported.
    uint64_t place(uint64_t told) const;

private:
    uint64_t offset_;
    uint64_t length_;
    uint64_t object_size_;
    uint64_t stripe_unit_;
    uint64_t stripe_count_;
};

// What read_iterate() calls for a piece of the region. `data` is null if the image has no data
// there. A negative return value ends the iteration.
using Visit = std::function<int(uint64_t offset, const char* data, std::size_t length)>;
// Calls `visit` for each piece of the region, in order. Throws Error with the errno that `visit`
// returned as a negative number. Implements: rbd_read_iterate2
void read_iterate(const Image& image, uint64_t offset, uint64_t length, const Visit& visit);

// Returns "error reading image 'vm1' at 4096~512", for messages.
std::string region(const char* verb, const Image& image, uint64_t offset, uint64_t length);
// Returns what a message adds about a write of which only `done` bytes were written.
std::string wrote_only(uint64_t done, uint64_t length);
// Returns what a message adds about a comparison that found other data at `offset` in the image.
std::string differs_from(uint64_t offset);

}  // namespace rbdxx::io
