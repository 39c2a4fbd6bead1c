// Merging two consecutive differences. Offsets and lengths are bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

namespace rbdxx::merge {

// A region of the image, and the place of its data in one of the streams.
struct Stretch {
    uint64_t offset = 0;
    uint64_t end = 0;
    int stream = 0;         // the stream's number: 0 or 1
    int64_t position = -1;  // in the stream; -1 for zeroes
};

// A stream in a file: the file's descriptor, and the offset at which the stream begins.
struct File {
    int descriptor = -1;
    uint64_t base = 0;
};

// The result of fill().
struct Filled {
    uint64_t size = 0;     // of the records in memory
    uint64_t reached = 0;  // the offset in the image up to which the records go
    bool ended = false;    // no records follow
    // The data that the last record still lacks, for the caller to copy. The length is 0 if it
    // lacks nothing.
    int stream = 0;
    uint64_t position = 0;
    uint64_t length = 0;
};

// Takes all extents first, and returns them without overlaps then. It keeps 40 bytes for each
// extent.
class Merge {
public:
    // Adds an extent, which hides the parts of earlier ones that it overlaps. `position` is that of
    // the data in the stream, or -1 for zeroes.
    void add(uint64_t offset, uint64_t length, int stream, int64_t position);
    // Adds an extent of zeroes that hides nothing.
    void add_below(uint64_t offset, uint64_t length);
    // Adds the complete records at the beginning of `data`, `size` bytes that stand at `position`
    // of the stream. `version` is that of the format, `limit` the image's size. Returns the length
    // of these records.
    uint64_t take(const char* data, uint64_t size, int version, uint64_t limit, int stream,
                  int64_t position);

    // Returns the next region below `limit`, in order of offset; nothing at the end.
    std::optional<Stretch> next(uint64_t limit);
    // Writes the records of the next regions into `size` bytes of memory, with their data. Returns
    // what it has written, and which data the caller has to copy: data that is long or cannot be
    // read.
    Filled fill(char* memory, uint64_t size, int version, uint64_t limit,
                const std::array<File, 2>& files);

private:
    struct Extent {
        uint64_t offset;
        uint64_t end;
        int64_t position;
        uint32_t order;
        uint32_t stream;
    };
    static bool earlier(const Extent& one, const Extent& other) { return one.order < other.order; }

    std::vector<Extent> extents_;
    bool sorted_ = false;
    std::size_t at_ = 0;
    uint64_t position_ = 0;
    // Extents that begin at or before the position; the latest is on top.
    std::priority_queue<Extent, std::vector<Extent>, decltype(&earlier)> waiting_{&earlier};
};

}  // namespace rbdxx::merge
