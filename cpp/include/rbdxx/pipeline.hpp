// Streams of an image's data at queue depth: extents read ahead in order, and written behind, by
// way of one ring of memory that bounds both. Offsets and lengths are bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::pipeline {

// Memory that is given out and comes back first in, first out; each piece in one stretch.
class Ring {
public:
    explicit Ring(uint64_t capacity) : capacity_(capacity) {}
    struct Piece {
        uint64_t start = 0;
        uint64_t cost = 0;  // with what was left over at the ring's end
    };
    std::optional<Piece> take(uint64_t length);
    // Gives back the oldest piece, which cost so much.
    void give(uint64_t cost) { used_ -= cost; }
    uint64_t capacity() const { return capacity_; }

private:
    const uint64_t capacity_;
    uint64_t head_ = 0;
    uint64_t used_ = 0;
};

// What is common to both directions: operations under way, and waiting for them. One thread uses
// it.
class Pipeline {
public:
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

protected:
    using Milliseconds = std::chrono::milliseconds;

    Pipeline(const Image& image, char* memory, uint64_t capacity, uint64_t depth)
        : image_(image), memory_(memory), ring_(capacity), depth_(depth) {}
    // Whoever derives from it closes first: the operations are the derived class's.
    ~Pipeline() = default;

    // One asynchronous call. It keeps the image open until the using thread is through with it.
    struct Operation {
        Pipeline* pipeline = nullptr;
        uint64_t offset = 0;
        uint64_t length = 0;
        bool settled = false;
        ssize_t result = 0;
        std::optional<Use<ImageState>> use;
    };
    // Waits for what is under way: its memory is librbd's until then.
    void settle_all() noexcept;
    // Starts `submit(functions, raw image, completion)`.
    template <class Submit>
    void start(Operation& operation, const char* verb, const Submit& submit);
    // Waits until `ready()`, with the lock held, or for as long; gives what it says.
    template <class Ready>
    bool wait(Milliseconds time, const Ready& ready);

    const Image image_;
    char* const memory_;
    Ring ring_;
    const uint64_t depth_;
    std::mutex mutex_;  // guards settled and result of operations, and flying_
    std::condition_variable settled_;
    uint64_t flying_ = 0;

private:
    static void settle(void* completion, void* argument) noexcept;
};

// Data that was read, or zeroes.
struct Chunk {
    uint64_t offset = 0;
    uint64_t length = 0;
    int64_t start = -1;  // in the ring; -1 for zeroes
    uint64_t done = 0;   // bytes that the image had: fewer than length where it ended
};

class Reader final : public Pipeline {
public:
    // One operation reads at most `piece` bytes. Zeroes are looked for in blocks of `grain` bytes,
    // or in whole chunks for 0. Extents of one piece with no more than `gap` bytes between them are
    // read by one operation: what is between costs less than another operation.
    Reader(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t piece,
           uint64_t grain, uint64_t gap);
    ~Reader() { close(); }
    // Waits for what is under way, and lets go of the image.
    void close() noexcept;

    // The next extent; false, and nothing is taken, while there is no room for it.
    bool push(uint64_t offset, uint64_t length, bool exists);
    // What comes next, in order; nothing where that takes longer than `milliseconds`. Gives back
    // the memory of what the call before gave. Throws what a read failed with.
    std::vector<Chunk> pop(unsigned milliseconds);
    // Whether everything that was pushed has been popped.
    bool idle() const { return reads_.empty() && left_ == 0 && span_.length == 0; }

private:
    struct Read : Operation {
        bool exists = false;
        Ring::Piece piece;
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
    };
    bool join(const Part& part);
    bool begin(uint64_t offset, uint64_t length, std::size_t parts);
    void pump();
    void deliver(Read& read, std::vector<Chunk>& chunks);
    void deliver_part(const Read& read, const Part& part, std::vector<Chunk>& chunks);

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

class Writer final : public Pipeline {
public:
    // Runs of zeroes of `sparse` bytes, at multiples of that, are left out; none for 0.
    Writer(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t sparse);
    ~Writer() { close(); }
    // Waits for what is under way, drops what is not, and lets go of the image.
    void close() noexcept;

    // Where in the ring `length` bytes are free for write(); -1 where that takes longer.
    int64_t reserve(uint64_t length, unsigned milliseconds);
    // Writes the first `length` bytes of what was reserved last.
    void write(uint64_t offset, uint64_t length);
    // Makes the image zero there; false, and nothing is done, while there is no room.
    bool zero(uint64_t offset, uint64_t length, unsigned milliseconds);
    // Whether everything is written; waits as long for that. Throws what a write failed with.
    bool drain(unsigned milliseconds);

private:
    struct Block {
        uint64_t cost = 0;
        uint64_t pending = 0;  // operations that still need its memory
    };
    struct Write : Operation {
        const char* data = nullptr;  // null for zeroes
        Block* block = nullptr;
        bool started = false;
    };
    void queue(uint64_t offset, uint64_t length, const char* data, Block* block);
    void pump();
    void collect();

    const uint64_t sparse_;
    std::deque<Block> blocks_;
    std::deque<Write> writes_;  // those under way, then those that wait
    std::size_t started_ = 0;   // how many of them
    std::optional<uint64_t> reserved_;
    bool failed_ = false;
};

}  // namespace rbdxx::pipeline
