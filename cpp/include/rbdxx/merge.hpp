// Two differences that follow each other, made one. Offsets and lengths are bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

namespace rbdxx::merge {

// A stretch of the image, and where its data are: in which of the streams, and where there.
struct Stretch {
    uint64_t offset = 0;
    uint64_t end = 0;
    int stream = 0;
    int64_t position = -1;  // -1 for zeroes
};

// A stream in a file: its descriptor, and where the stream begins in the file.
struct File {
    int descriptor = -1;
    uint64_t base = 0;
};

// What fill() has made.
struct Filled {
    uint64_t size = 0;     // of the records in memory
    uint64_t reached = 0;  // up to where they are of the image
    bool ended = false;    // there are no more
    // What the last record still lacks, which the caller copies; its length is 0 for nothing.
    int stream = 0;
    uint64_t position = 0;
    uint64_t length = 0;
};

// First takes all extents, then gives them without overlaps. It keeps 40 bytes an extent.
class Merge {
public:
    // Extents that are added later are later in time, and hide what they overlap. `position`: of
    // the data in the stream; -1 for zeroes.
    void add(uint64_t offset, uint64_t length, int stream, int64_t position);
    // An extent of zeroes that hides nothing.
    void add_below(uint64_t offset, uint64_t length);
    // Adds the whole records with which the `size` bytes at `data` begin, which the stream has from
    // `position` on. Returns the length of these records.
    uint64_t take(const char* data, uint64_t size, int version, uint64_t limit, int stream,
                  int64_t position);

    // The next stretch below `limit`, in order of offset.
    std::optional<Stretch> next(uint64_t limit);
    // Puts the records of the next stretches into memory, with their data. Long data, and those
    // that cannot be read, are left to the caller.
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
