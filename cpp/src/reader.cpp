#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/reader.hpp>

#include <algorithm>
#include <string>
#include <utility>

#include "runs.hpp"

namespace rbdxx::pipeline {

namespace {

// The most chunks that one pop() returns.
constexpr std::size_t most_chunks = 256;
// How much longer than the others the gaps may be that must not outweigh the data.
constexpr uint64_t longer_gap = 4;

}  // namespace

Reader::Reader(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t piece,
               uint64_t grain, uint64_t gap, const engine::QueuePointer& owner)
    : Pipeline(image, memory, capacity, depth, owner),
      piece_(piece),
      grain_(grain),
      gap_(gap),
      longest_span_(std::min(piece, capacity / 8)) {}

void Reader::close() noexcept {
    wait();
    reads_.clear();
    parts_.clear();
    span_ = {};
    left_ = 0;
}

bool Reader::push(uint64_t offset, uint64_t length, bool exists) {
    pump();
    if (join({offset, length, exists})) {
        return true;
    }
    span_.closed = span_.length > 0;
    pump();
    if (span_.length > 0 || left_ != 0 || reads_.size() >= most_queued) {
        return false;
    }
    if (exists && length > 0 && length <= longest_span_ && offset % piece_ <= piece_ - length) {
        span_ = {offset, length, 1, false, 0};
        parts_.push_back({offset, length, true});
        return true;
    }
    next_ = offset;
    left_ = length;
    left_exists_ = exists;
    pump();
    return true;
}

// Returns whether an extent became part of the open span.
bool Reader::join(const Part& part) {
    const uint64_t end = span_.offset + span_.length;
    if (span_.length == 0 || span_.closed || span_.parts == most_chunks || part.offset < end ||
        part.offset % piece_ > piece_ - part.length || part.length > piece_ ||
        part.offset / piece_ != span_.offset / piece_) {
        return false;
    }
    if (part.exists) {
        const uint64_t length = part.offset + part.length - span_.offset;
        const uint64_t gap = part.offset - end;
        const uint64_t gaps = span_.gaps + gap;
        const bool pays = gap <= gap_ || (gap <= longer_gap * gap_ && gaps <= length / 2);
        if (!pays || length > longest_span_) {
            return false;
        }
        span_.length = length;
        span_.gaps = gaps;
    }
    ++span_.parts;
    parts_.push_back(part);
    return true;
}

// Submits a read. Returns false if there is no room for it.
bool Reader::begin(uint64_t offset, uint64_t length, std::size_t parts) {
    if (full()) {
        return false;
    }
    auto taken = ring_.take(length);
    if (!taken) {
        return false;
    }
    Read& read = reads_.emplace_back();
    read.offset = offset;
    read.length = length;
    read.exists = true;
    read.piece = *taken;
    read.parts = parts;
    try {
        submit(read, [&](const abi::Functions& call, abi::rbd_image_t raw,
                         abi::rbd_completion_t completion) {
            return call.rbd_aio_read(raw, offset, length, memory_ + read.piece.start, completion);
        });
    } catch (...) {
        reads_.pop_back();
        throw;
    }
    return true;
}

void Reader::pump() {
    while (reads_.size() < most_queued) {
        if (span_.closed) {
            if (!begin(span_.offset, span_.length, span_.parts)) {
                return;
            }
            span_ = {};
            continue;
        }
        if (left_ == 0) {
            return;
        }
        uint64_t length = left_;
        if (left_exists_) {
            // A piece ends where an object does; both sizes are powers of two.
            length = std::min(left_, piece_ - next_ % piece_);
            if (!begin(next_, length, 0)) {
                return;
            }
        } else {
            Read& read = reads_.emplace_back();
            read.offset = next_;
            read.length = length;
            read.complete = true;
            read.result = static_cast<ssize_t>(length);
        }
        next_ += length;
        left_ -= length;
    }
}

std::vector<Chunk> Reader::pop(Wait wait) {
    for (uint64_t cost : given_) {
        ring_.give(cost);
    }
    given_.clear();
    // The caller has nothing more to add for now.
    span_.closed = span_.length > 0;
    pump();
    std::vector<Chunk> chunks;
    if (reads_.empty() || !wait_until(wait, [this] { return reads_.front().complete; })) {
        return chunks;
    }
    uint64_t given = 0;
    while (!reads_.empty() && chunks.size() < most_chunks) {
        Read& read = reads_.front();
        const uint64_t cost = read.exists ? read.piece.cost : 0;
        // The rest of the ring is filled while the caller has these chunks.
        if (given > 0 && given + cost > ring_.capacity() / 4) {
            break;
        }
        if (!is_complete(read)) {
            break;
        }
        hand_out(read, chunks);
        given += cost;
        if (read.exists) {
            given_.push_back(cost);
        }
        reads_.pop_front();
    }
    // The completed reads make room for more, apart from the memory that the caller has now.
    pump();
    return chunks;
}

void Reader::hand_out(Read& read, std::vector<Chunk>& chunks) {
    if (!read.exists) {
        chunks.push_back({read.offset, read.length, -1, read.length});
        return;
    }
    auto done = static_cast<uint64_t>(std::max<ssize_t>(read.result, 0));
    if (done != read.length) {
        uint64_t size = image_.size();
        if (size >= read.offset + read.length) {
            check(read.result,
                  [&] { return io::region("reading", image_, read.offset, read.length); });
            throw LogicFault(io::region("reading", image_, read.offset, read.length) + ": only " +
                             std::to_string(done) + " bytes were read");
        }
        // The image became smaller after the extent was found. The caller decides what that means.
        read.result =
            static_cast<ssize_t>(std::min(done, size > read.offset ? size - read.offset : 0));
    }
    if (read.parts == 0) {
        hand_out_part(read, {read.offset, read.length, true}, chunks);
        return;
    }
    for (; read.parts > 0; --read.parts) {
        hand_out_part(read, parts_.front(), chunks);
        parts_.pop_front();
    }
}

void Reader::hand_out_part(const Read& read, const Part& part, std::vector<Chunk>& chunks) {
    if (!part.exists) {
        chunks.push_back({part.offset, part.length, -1, part.length});
        return;
    }
    const uint64_t skipped = part.offset - read.offset;
    const auto start = static_cast<int64_t>(read.piece.start + skipped);
    const auto came = static_cast<uint64_t>(read.result);
    const uint64_t done = std::min(part.length, came > skipped ? came - skipped : 0);
    if (done != part.length) {
        chunks.push_back({part.offset, part.length, start, done});
        return;
    }
    const char* data = memory_ + start;
    if (grain_ == 0) {
        chunks.push_back({part.offset, part.length, is_zero(data, part.length) ? -1 : start, done});
        return;
    }
    for_each_run(
        data, part.offset, part.length, grain_, [&](uint64_t at, uint64_t length, bool zero) {
            chunks.push_back(
                {part.offset + at, length, zero ? -1 : start + static_cast<int64_t>(at), length});
        });
}

}  // namespace rbdxx::pipeline
