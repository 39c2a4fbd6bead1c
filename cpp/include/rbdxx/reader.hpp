// Reading an image's data ahead, in order. Offsets and lengths are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include <rbdxx/detail/pipeline.hpp>

namespace rbdxx::pipeline {

// Data that was read, or zeroes. The caller may use the memory until the next pop().
struct Chunk {
    uint64_t offset = 0;
    uint64_t length = 0;
    int64_t start = -1;  // in the ring; -1 for zeroes
    uint64_t done = 0;   // bytes read: fewer than length at the end of the image
};

// Used by one thread, which also destroys it or abandons it. `memory`, of `capacity` bytes, stays
// the caller's and must outlive it: librbd reads into it.
class Reader : public Pipeline {
public:
    // One operation reads at most `piece` bytes. Zeroes are looked for in blocks of `grain` bytes,
    // or in whole chunks if `grain` is 0. Extents of one piece with at most `gap` bytes between
    // them are read by one operation, because reading the gap costs less than another operation.
    // Gaps of four times as many bytes are read too, as long as they are at most half of what the
    // operation reads.
    Reader(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t piece,
           uint64_t grain, uint64_t gap, const engine::QueuePointer& owner = nullptr);
    ~Reader() override { close(); }
    // Waits for the operations in flight, and releases the image.
    void close() noexcept;

    // Adds the next extent to read. Returns false, and does not add it, while there is no room.
    bool push(uint64_t offset, uint64_t length, bool exists);
    // Returns the next chunks, in order; none if they take longer than `wait`. The memory of the
    // chunks of the previous call is used again. Throws Error if a read has failed.
    std::vector<Chunk> pop(Wait wait = forever);
    // Returns whether everything that was pushed has been popped.
    bool idle() const { return reads_.empty() && left_ == 0 && span_.length == 0; }

private:
    struct Read final : Transfer {
        bool exists = false;
        detail::Ring::Piece piece;
        std::size_t parts = 0;  // of parts_ that it is for; 0: for all of itself
    };
    struct Part {
        uint64_t offset = 0;
        uint64_t length = 0;
        bool exists = false;
    };
    // Extents that one operation is to read.
    struct Span {
        uint64_t offset = 0;
        uint64_t length = 0;  // 0: there is none
        std::size_t parts = 0;
        bool closed = false;  // nothing more joins
        uint64_t gaps = 0;    // bytes of it between its extents
    };
    bool join(const Part& part);
    bool begin(uint64_t offset, uint64_t length, std::size_t parts);
    void pump();
    void hand_out(Read& read, std::vector<Chunk>& chunks);
    void hand_out_part(const Read& read, const Part& part, std::vector<Chunk>& chunks);

    const uint64_t piece_;
    const uint64_t grain_;
    const uint64_t gap_;
    const uint64_t longest_span_;
    std::deque<Read> reads_;
    std::deque<Part> parts_;       // of reads_ and span_, in order
    Span span_;                    // after reads_, before what is left
    std::vector<uint64_t> given_;  // what the pieces cost that the caller has
    uint64_t next_ = 0;            // of the extent that is not wholly under way
    uint64_t left_ = 0;
    bool left_exists_ = false;
};

}  // namespace rbdxx::pipeline
