// Long because reading and writing share the ring's room and its waiting, which only show together.
#include <rbdxx/error.hpp>
#include <rbdxx/operation.hpp>
#include <rbdxx/pipeline.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace rbdxx::pipeline {

namespace {

// How many operations may be queued, in flight or settled, besides the bound on memory.
constexpr std::size_t most_queued = 4096;
// How many chunks one pop() gives.
constexpr std::size_t most_chunks = 256;
// How much one operation makes zero.
constexpr uint64_t zero_piece = uint64_t{1} << 30;
// Pieces of the ring begin at multiples of this.
constexpr uint64_t alignment = 64;

bool is_zero(const char* data, uint64_t length) {
    // A stretch equals itself moved by one byte only if all its bytes are the same.
    return length == 0 || (data[0] == 0 && std::memcmp(data, data + 1, length - 1) == 0);
}

std::string region(const char* verb, const Image& image, uint64_t offset, uint64_t length) {
    return "error " + std::string(verb) + " " + image.describe() + " at " + std::to_string(offset) +
           "~" + std::to_string(length);
}

// Calls visit(start, length, zero) for the runs of zero and other blocks of `grain` bytes that the
// image has at multiples of that.
template <class Visit>
void for_each_run(const char* data, uint64_t offset, uint64_t length, uint64_t grain,
                  const Visit& visit) {
    uint64_t run = 0;
    bool run_zero = false;
    for (uint64_t at = 0; at < length;) {
        uint64_t size = std::min(length - at, grain - (offset + at) % grain);
        bool zero = is_zero(data + at, size);
        if (at > run && zero != run_zero) {
            visit(run, at - run, run_zero);
            run = at;
        }
        run_zero = zero;
        at += size;
    }
    visit(run, length - run, run_zero);
}

}  // namespace

std::optional<Ring::Piece> Ring::take(uint64_t length) {
    uint64_t size = (length + alignment - 1) / alignment * alignment;
    if (used_ == 0) {
        // With nothing given out, all of it is one stretch again.
        head_ = 0;
    }
    const bool wraps = size > capacity_ - head_;
    const uint64_t start = wraps ? 0 : head_;
    const uint64_t cost = size + (wraps ? capacity_ - head_ : 0);
    if (cost > capacity_ - used_) {
        return std::nullopt;
    }
    head_ = start + size;
    used_ += cost;
    return Piece{start, cost};
}

template <class Submit>
void Pipeline::start(Operation& operation, const char* verb, const Submit& submit) {
    operation.pipeline = this;
    operation.settled = false;
    operation.use.emplace(image_.use());
    const Use<ImageState>& use = *operation.use;
    auto describe = [&] { return region(verb, image_, operation.offset, operation.length); };
    aio::require(use.functions());
    abi::rbd_completion_t completion = nullptr;
    check(use->rbd_aio_create_completion(&operation, settle, &completion), describe);
    {
        std::lock_guard<std::mutex> lock(mutex_);
        ++flying_;
    }
    auto take_back = [&] {
        use->rbd_aio_release(completion);
        std::lock_guard<std::mutex> lock(mutex_);
        --flying_;
        operation.settled = true;
    };
    int answer = 0;
    try {
        answer = submit(use.functions(), use.get(), completion);
    } catch (...) {
        take_back();
        throw;
    }
    if (answer < 0) {
        operation.result = answer;
        take_back();
    }
}

// Runs in librbd's threads.
void Pipeline::settle(void* completion, void* argument) noexcept {
    auto& operation = *static_cast<Operation*>(argument);
    Pipeline& pipeline = *operation.pipeline;
    const Use<ImageState>& use = *operation.use;
    ssize_t result = use->rbd_aio_get_return_value(completion);
    aio::release(use.state(), completion);
    // The lock is held over the notification: without it the pipeline may be gone before that.
    std::lock_guard<std::mutex> lock(pipeline.mutex_);
    operation.result = result;
    operation.settled = true;
    --pipeline.flying_;
    pipeline.settled_.notify_all();
}

template <class Ready>
bool Pipeline::wait(Milliseconds time, const Ready& ready) {
    std::unique_lock<std::mutex> lock(mutex_);
    return settled_.wait_for(lock, time, ready);
}

void Pipeline::settle_all() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    settled_.wait(lock, [this] { return flying_ == 0; });
}

Reader::Reader(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t piece,
               uint64_t grain, uint64_t gap)
    : Pipeline(image, memory, capacity, depth),
      piece_(piece),
      grain_(grain),
      gap_(gap),
      longest_span_(std::min(piece, capacity / 8)) {}

void Reader::close() noexcept {
    settle_all();
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
        span_ = {offset, length, 1, false};
        parts_.push_back({offset, length, true});
        return true;
    }
    next_ = offset;
    left_ = length;
    left_exists_ = exists;
    pump();
    return true;
}

// Whether an extent became part of the open span.
bool Reader::join(const Part& part) {
    const uint64_t end = span_.offset + span_.length;
    if (span_.length == 0 || span_.closed || span_.parts == most_chunks || part.offset < end ||
        part.offset % piece_ > piece_ - part.length || part.length > piece_ ||
        part.offset / piece_ != span_.offset / piece_) {
        return false;
    }
    if (part.exists) {
        const uint64_t length = part.offset + part.length - span_.offset;
        if (part.offset - end > gap_ || length > longest_span_) {
            return false;
        }
        span_.length = length;
    }
    ++span_.parts;
    parts_.push_back(part);
    return true;
}

// Starts a read; false where there is no room for it.
bool Reader::begin(uint64_t offset, uint64_t length, std::size_t parts) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (flying_ >= depth_) {
            return false;
        }
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
        start(read, "reading",
              [&](const abi::Functions& call, abi::rbd_image_t raw,
                  abi::rbd_completion_t completion) {
                  return call.rbd_aio_read(raw, offset, length, memory_ + read.piece.start,
                                           completion);
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
            // Pieces end where objects do, which are of a power of two.
            length = std::min(left_, piece_ - next_ % piece_);
            if (!begin(next_, length, 0)) {
                return;
            }
        } else {
            Read& read = reads_.emplace_back();
            read.offset = next_;
            read.length = length;
            read.settled = true;
            read.result = static_cast<ssize_t>(length);
        }
        next_ += length;
        left_ -= length;
    }
}

std::vector<Chunk> Reader::pop(unsigned milliseconds) {
    for (uint64_t cost : given_) {
        ring_.give(cost);
    }
    given_.clear();
    // Whoever asks has nothing more to add for now.
    span_.closed = span_.length > 0;
    pump();
    std::vector<Chunk> chunks;
    if (reads_.empty() ||
        !wait(Milliseconds(milliseconds), [this] { return reads_.front().settled; })) {
        return chunks;
    }
    uint64_t given = 0;
    while (!reads_.empty() && chunks.size() < most_chunks) {
        Read& read = reads_.front();
        const uint64_t cost = read.exists ? read.piece.cost : 0;
        // The rest of the ring is read into while the caller has this.
        if (given > 0 && given + cost > ring_.capacity() / 4) {
            break;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!read.settled) {
                break;
            }
        }
        deliver(read, chunks);
        given += cost;
        if (read.exists) {
            given_.push_back(cost);
        }
        reads_.pop_front();
    }
    // What was settled makes room for more, beyond the memory that is the caller's now.
    pump();
    return chunks;
}

void Reader::deliver(Read& read, std::vector<Chunk>& chunks) {
    if (!read.exists) {
        chunks.push_back({read.offset, read.length, -1, read.length});
        return;
    }
    auto done = static_cast<uint64_t>(std::max<ssize_t>(read.result, 0));
    if (done != read.length) {
        uint64_t size = image_.size();
        if (size >= read.offset + read.length) {
            check(read.result, [&] { return region("reading", image_, read.offset, read.length); });
            throw LogicFault(region("reading", image_, read.offset, read.length) + ": only " +
                             std::to_string(done) + " bytes came");
        }
        // The image ends earlier than when the extent was found: the caller knows what that means.
        read.result =
            static_cast<ssize_t>(std::min(done, size > read.offset ? size - read.offset : 0));
    }
    if (read.parts == 0) {
        deliver_part(read, {read.offset, read.length, true}, chunks);
        return;
    }
    for (; read.parts > 0; --read.parts) {
        deliver_part(read, parts_.front(), chunks);
        parts_.pop_front();
    }
}

void Reader::deliver_part(const Read& read, const Part& part, std::vector<Chunk>& chunks) {
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

Writer::Writer(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t sparse)
    : Pipeline(image, memory, capacity, depth), sparse_(sparse) {}

void Writer::close() noexcept {
    settle_all();
    writes_.clear();
    started_ = 0;
}

int64_t Writer::reserve(uint64_t length, unsigned milliseconds) {
    collect();
    pump();
    auto piece = ring_.take(length);
    if (!piece && !writes_.empty()) {
        wait(Milliseconds(milliseconds), [this] { return writes_.front().settled; });
        collect();
        pump();
        piece = ring_.take(length);
    }
    if (!piece) {
        return -1;
    }
    blocks_.push_back({piece->cost, 1});
    reserved_ = piece->start;
    return static_cast<int64_t>(piece->start);
}

void Writer::write(uint64_t offset, uint64_t length) {
    const char* data = memory_ + reserved_.value();
    reserved_.reset();
    Block& block = blocks_.back();
    if (sparse_ == 0) {
        queue(offset, length, data, &block);
    } else if (length > 0) {
        for_each_run(data, offset, length, sparse_, [&](uint64_t at, uint64_t size, bool zero) {
            if (!zero) {
                queue(offset + at, size, data + at, &block);
            }
        });
    }
    // The reservation itself is no longer pending.
    --block.pending;
    pump();
}

bool Writer::zero(uint64_t offset, uint64_t length, unsigned milliseconds) {
    collect();
    pump();
    if (writes_.size() >= most_queued) {
        wait(Milliseconds(milliseconds), [this] { return writes_.front().settled; });
        collect();
        pump();
        if (writes_.size() >= most_queued) {
            return false;
        }
    }
    for (uint64_t at = 0; at < length; at += zero_piece) {
        queue(offset + at, std::min(length - at, zero_piece), nullptr, nullptr);
    }
    pump();
    return true;
}

bool Writer::drain(unsigned milliseconds) {
    collect();
    pump();
    if (!writes_.empty()) {
        wait(Milliseconds(milliseconds), [this] { return writes_.front().settled; });
        collect();
        pump();
    }
    return writes_.empty();
}

void Writer::queue(uint64_t offset, uint64_t length, const char* data, Block* block) {
    Write& write = writes_.emplace_back();
    write.offset = offset;
    write.length = length;
    write.data = data;
    write.block = block;
    if (block != nullptr) {
        ++block->pending;
    }
}

void Writer::pump() {
    while (!failed_ && started_ < writes_.size()) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (flying_ >= depth_) {
                return;
            }
        }
        Write& write = writes_[started_];
        start(write, "writing",
              [&](const abi::Functions& call, abi::rbd_image_t raw,
                  abi::rbd_completion_t completion) {
                  return write.data == nullptr
                             ? call.rbd_aio_write_zeroes(raw, write.offset, write.length,
                                                         completion, 0, 0)
                             : call.rbd_aio_write(raw, write.offset, write.length, write.data,
                                                  completion);
              });
        ++started_;
    }
}

// Takes what has settled, in order, and gives its memory back.
void Writer::collect() {
    while (started_ > 0) {
        Write& write = writes_.front();
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!write.settled) {
                break;
            }
        }
        if (write.result < 0) {
            failed_ = true;
            check(write.result, [&] {
                return region(write.data == nullptr ? "zeroing" : "writing", image_, write.offset,
                              write.length);
            });
        }
        if (write.block != nullptr) {
            --write.block->pending;
        }
        writes_.pop_front();
        --started_;
    }
    while (!blocks_.empty() && blocks_.front().pending == 0) {
        ring_.give(blocks_.front().cost);
        blocks_.pop_front();
    }
}

}  // namespace rbdxx::pipeline
