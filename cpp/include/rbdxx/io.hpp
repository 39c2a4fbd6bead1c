// Synchronous data I/O on an image. Offsets and lengths are bytes; memory belongs to the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <rbdxx/image.hpp>

// Offsets and lengths are bytes, buffers stay the caller's, and each call returns when librbd is
// done. Any number of threads may call at once. `flags`: LIBRADOS_OP_FLAG_FADVISE_* bits, hints.
namespace rbdxx::io {

// librbd's synchronous calls answer in an int or refuse 2 GiB and more: longer ones go in pieces.
inline constexpr uint64_t piece = uint64_t{1} << 30;

// Reads into `data`; gives the bytes read, fewer than `length` only at the end of the image.
// Implements: rbd_read, rbd_read2
uint64_t read(const Image& image, char* data, uint64_t offset, uint64_t length, int flags = 0);

// How many of `length` bytes at `offset` the image has.
uint64_t clip(const Image& image, uint64_t offset, uint64_t length);

// Writes all of it, or throws IncompleteWrite. Gives `length`. Implements: rbd_write, rbd_write2
uint64_t write(const Image& image, const char* data, uint64_t offset, uint64_t length,
               int flags = 0);

// Lets go of the data: it reads as zeroes, but for ends of blocks that librbd may leave as they
// are. Gives the bytes discarded. Implements: rbd_discard
uint64_t discard(const Image& image, uint64_t offset, uint64_t length);

// The flags, which a librbd of Ceph 14 cannot take: it would end the process. Throws
// MissingFunction.
int known_zero_flags(int zero_flags);

// Unlike discard() always zeroes. Gives `length`.
// `zero_flags`: WRITE_ZEROES_FLAG_*. Implements: rbd_write_zeroes
uint64_t write_zeroes(const Image& image, uint64_t offset, uint64_t length, int zero_flags);

// Repeats `data` (size bytes) over `length` bytes, a multiple of size. Gives `length`. Implements:
// rbd_writesame
uint64_t write_same(const Image& image, const char* data, uint64_t size, uint64_t offset,
                    uint64_t length, int flags = 0);

// Writes `data` where the image holds `expected` (both `length` bytes), else throws
// CompareMismatch. Implements: rbd_compare_and_write
uint64_t compare_and_write(const Image& image, const char* expected, const char* data,
                           uint64_t offset, uint64_t length, int flags = 0);

// Where in the image a comparison found other data. librbd tells how far from the comparison's
// beginning that is, but as a place so far from the beginning of the object. Made while the image
// is open.
class Difference {
public:
    Difference(const Image& image, uint64_t offset, uint64_t length);
    // What librbd's answer means.
    uint64_t place(uint64_t told) const;

private:
    uint64_t offset_;
    uint64_t length_;
    uint64_t object_size_;
    uint64_t stripe_unit_;
    uint64_t stripe_count_;
};

// Calls visit(offset, data, length) for each piece of the region, in order; `data` is null where
// the image has none. A negative answer ends it and is thrown. Implements: rbd_read_iterate2
using Visit = std::function<int(uint64_t offset, const char* data, std::size_t length)>;
void read_iterate(const Image& image, uint64_t offset, uint64_t length, const Visit& visit);

// "error reading image 'vm1' at 4096~512", for messages.
std::string region(const char* verb, const Image& image, uint64_t offset, uint64_t length);
// What a message about a write adds that did not write everything, or about a comparison that found
// other data from `offset` on, in the image.
std::string wrote_only(uint64_t done, uint64_t length);
std::string differs_from(uint64_t offset);

}  // namespace rbdxx::io
