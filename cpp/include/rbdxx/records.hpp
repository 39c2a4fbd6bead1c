// The extents of a difference as records in a stream: how they look there. Numbers in a stream are
// little-endian; offsets and lengths are bytes.
#pragma once

#include <cstdint>
#include <optional>

namespace rbdxx::records {

// An extent of the image, with the data that follow its header, or of zeroes.
struct Record {
    uint64_t offset = 0;
    uint64_t length = 0;
    bool data = false;
    uint64_t header = 0;  // how long that is in the stream
    uint64_t size = 0;    // of header and data in the stream
};

// The longest header.
inline constexpr uint64_t most_header = 1 + 3 * sizeof(uint64_t);

// The extent with which the `size` bytes at `stream` begin, where they hold all of its record.
// There is none for what is damaged, of another kind or beyond byte `limit` of the image either:
// whoever reads it in parts says what is wrong with it. `version`: that of the difference, 1 or 2.
std::optional<Record> whole(const char* stream, uint64_t size, int version, uint64_t limit);

// Writes the header of an extent to `stream`, which has room for it. Returns its length.
uint64_t describe(char* stream, int version, uint64_t offset, uint64_t length, bool data);

}  // namespace rbdxx::records
