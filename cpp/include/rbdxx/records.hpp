// The records of a difference in a stream. Numbers in a stream are little-endian; offsets and
// lengths are bytes.
#pragma once

#include <cstdint>
#include <optional>

namespace rbdxx::records {

// The record of an extent of the image: a header, and data unless the extent is zeroes.
struct Record {
    uint64_t offset = 0;
    uint64_t length = 0;
    bool data = false;    // data follows the header
    uint64_t header = 0;  // the header's length in the stream
    uint64_t size = 0;    // the length of header and data in the stream
};

// The longest header.
inline constexpr uint64_t most_header = 1 + 3 * sizeof(uint64_t);

// Returns the record at the beginning of the `size` bytes at `stream`. Returns nothing if the bytes
// do not hold all of it, and for a record that is damaged, of another kind, or beyond byte `limit`
// of the image: the caller then reads it in parts and reports what is wrong. `version` is that of
// the format, 1 or 2.
std::optional<Record> whole(const char* stream, uint64_t size, int version, uint64_t limit);

// A file and a region of it, in bytes, that holds records.
struct Region {
    int descriptor = -1;
    uint64_t position = 0;
    uint64_t end = 0;
};

// Returns the position after the records that whole() finds from the beginning of the region on,
// but after `most` of them at the latest. Reads their headers alone.
uint64_t skip(const Region& region, int version, uint64_t limit, uint64_t most);

// Writes the header of an extent to `stream`, which has room for most_header bytes. Returns the
// header's length.
uint64_t describe(char* stream, int version, uint64_t offset, uint64_t length, bool data);

}  // namespace rbdxx::records
