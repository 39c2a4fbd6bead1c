// Writing an image's data behind, in order. Offsets and lengths are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include <rbdxx/detail/pipeline.hpp>

namespace rbdxx::pipeline {

// Used by one thread, which also destroys it or abandons it. `memory`, of `capacity` bytes, stays
// the caller's and must outlive it: librbd writes from it. What fails is thrown by a later call, at
// the latest by drain().
class Writer : public Pipeline {
public:
    // Runs of zeroes of `sparse` bytes, at multiples of that, are not written; none for 0. They are
    // made zero, so that what was there before is discarded. Of a `fresh` image, which is zero
    // where nothing has been written, all zeroes there are left out.
    Writer(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t sparse,
           bool fresh = false, const engine::QueuePointer& owner = nullptr);
    ~Writer() override { close(); }
    // Waits for what is in flight, drops what is not, and leaves the image.
    void close() noexcept;

    // Where in the ring `length` bytes are free for write(); -1 where that takes longer.
    int64_t reserve(uint64_t length, Wait wait = forever);
    // Writes the first `length` bytes of what was reserved last.
    void write(uint64_t offset, uint64_t length);
    // Makes the image zero there; false, and nothing is done, while there is no room.
    bool zero(uint64_t offset, uint64_t length, Wait wait = forever);
    // Writes the whole records of a difference with which the `size` bytes at `stream` begin; see
    // records::whole(). Ends before one that begins before the end of the one before it, or has no
    // room. Returns the length of the records.
    uint64_t take(const char* stream, uint64_t size, int version, uint64_t limit,
                  Wait wait = forever);
    // Whether what begins at that byte may overlap what was given before: that needs drain() first,
    // because librbd keeps no order between operations in flight.
    bool overlaps(uint64_t offset) const { return offset < high_; }
    // Whether everything is written; waits as long for that. Throws what a write failed with.
    bool drain(Wait wait = forever);

private:
    struct Block {
        uint64_t cost = 0;
        uint64_t pending = 0;  // operations that still need its memory
    };
    struct Write final : Transfer {
        const char* data = nullptr;   // null for zeroes
        unsigned released_locks = 0;  // when it was submitted
        Block* block = nullptr;
    };
    template <class Ready>
    bool advance_until(Wait wait, const Ready& ready);
    void queue(uint64_t offset, uint64_t length, const char* data, Block* block);
    void queue_zeroes(uint64_t offset, uint64_t length);
    void pump();
    void submit_write(Write& write);
    void collect();

    const uint64_t sparse_;
    const bool fresh_;
    std::deque<Block> blocks_;
    std::deque<Write> writes_;   // those submitted, then those that wait
    std::size_t submitted_ = 0;  // how many of them are in flight or complete
    std::optional<uint64_t> reserved_;
    uint64_t high_ = 0;     // the end of what was given since the last drain()
    uint64_t written_ = 0;  // the end of what was ever given
    bool failed_ = false;
};

}  // namespace rbdxx::pipeline
