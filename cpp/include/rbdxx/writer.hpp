// Writing an image's data behind, in order. Offsets and lengths are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include <rbdxx/detail/pipeline.hpp>

namespace rbdxx::pipeline {

// Used by one thread, which also destroys it or abandons it. `memory`, of `capacity` bytes, stays
// the caller's and must outlive it: librbd writes from it. If a write fails, a later call throws
// Error, at the latest drain().
class Writer : public Pipeline {
public:
    // Runs of `sparse` zero bytes, at multiples of `sparse`, are discarded in place of written; 0
    // means that all zeroes are written. In a `fresh` image, which is zero where nothing was
    // written, zeroes there are neither written nor discarded.
    Writer(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t sparse,
           bool fresh = false, const engine::QueuePointer& owner = nullptr);
    ~Writer() override { close(); }
    // Waits for the operations in flight, drops those that wait, and releases the image.
    void close() noexcept;

    // Reserves `length` bytes for write(). Returns their place in the ring, or -1 if that takes
    // longer than `wait`.
    int64_t reserve(uint64_t length, Wait wait = forever);
    // Writes the first `length` bytes of the last reservation to the image at `offset`. Returns
    // whether there is other data among them than runs of zeroes.
    bool write(uint64_t offset, uint64_t length);
    // Makes a region of the image zero. Returns false, and does nothing, if there is no room for it
    // within `wait`.
    bool zero(uint64_t offset, uint64_t length, Wait wait = forever);
    // Writes the complete records at the beginning of the `size` bytes at `stream`; see
    // records::whole(). Stops before a record that begins before the end of the previous one, or
    // that there is no room for. Returns the length of the records.
    uint64_t take(const char* stream, uint64_t size, int version, uint64_t limit,
                  Wait wait = forever);
    // Returns whether a write at `offset` may overlap an earlier one. Then call drain() first,
    // because librbd keeps no order between operations in flight.
    bool overlaps(uint64_t offset) const { return offset < high_; }
    // Waits until everything is written, for at most `wait`. Returns whether it is. Throws Error if
    // a write has failed, and EINVAL if the image has become smaller than what was written.
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
