#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/records.hpp>
#include <rbdxx/writer.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "runs.hpp"

namespace rbdxx::pipeline {

namespace {

// The most bytes that one operation makes zero.
constexpr uint64_t zero_piece = uint64_t{1} << 30;

}  // namespace

Writer::Writer(const Image& image, char* memory, uint64_t capacity, uint64_t depth, uint64_t sparse,
               bool fresh, const engine::QueuePointer& owner)
    : Pipeline(image, memory, capacity, depth, owner), sparse_(sparse), fresh_(fresh) {}

void Writer::close() noexcept {
    wait();
    writes_.clear();
    submitted_ = 0;
}

// Collects and submits until `ready()` returns true, for at most `wait`. Returns what it returned.
template <class Ready>
bool Writer::advance_until(Wait wait, const Ready& ready) {
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
        collect();
        pump();
        if (ready()) {
            return true;
        }
        const Wait left =
            wait == forever ? wait : wait - (std::chrono::steady_clock::now() - begin);
        if (writes_.empty() || left < Wait::zero() ||
            !wait_until(left, [this] { return writes_.front().complete; })) {
            return false;
        }
    }
}

int64_t Writer::reserve(uint64_t length, Wait wait) {
    std::optional<detail::Ring::Piece> piece;
    if (!advance_until(wait, [&] { return (piece = ring_.take(length)).has_value(); })) {
        return -1;
    }
    blocks_.push_back({piece->cost, 1});
    reserved_ = piece->start;
    return static_cast<int64_t>(piece->start);
}

bool Writer::write(uint64_t offset, uint64_t length) {
    const char* data = memory_ + reserved_.value();
    reserved_.reset();
    Block& block = blocks_.back();
    bool has_data = sparse_ == 0;
    if (sparse_ == 0) {
        queue(offset, length, data, &block);
    } else if (length > 0) {
        for_each_run(data, offset, length, sparse_, [&](uint64_t at, uint64_t size, bool zero) {
            if (!zero) {
                has_data = true;
                queue(offset + at, size, data + at, &block);
            } else {
                queue_zeroes(offset + at, size);
            }
        });
    }
    high_ = offset + length;
    written_ = std::max(written_, high_);
    // The reservation itself is no longer pending.
    --block.pending;
    pump();
    return has_data;
}

bool Writer::zero(uint64_t offset, uint64_t length, Wait wait) {
    if (!advance_until(wait, [this] { return writes_.size() < most_queued; })) {
        return false;
    }
    queue_zeroes(offset, length);
    high_ = offset + length;
    pump();
    return true;
}

uint64_t Writer::take(const char* stream, uint64_t size, int version, uint64_t limit, Wait wait) {
    const auto begin = std::chrono::steady_clock::now();
    uint64_t done = 0;
    while (const auto record = records::whole(stream + done, size - done, version, limit)) {
        const Wait left =
            wait == forever ? wait : wait - (std::chrono::steady_clock::now() - begin);
        if (overlaps(record->offset) || record->length > ring_.capacity()) {
            break;
        }
        if (record->length == 0) {
            // Nothing to do.
        } else if (record->data) {
            const int64_t start = reserve(record->length, left);
            if (start < 0) {
                break;
            }
            std::memcpy(memory_ + start, stream + done + record->header, record->length);
            write(record->offset, record->length);
        } else if (!zero(record->offset, record->length, left)) {
            break;
        }
        done += record->size;
    }
    return done;
}

bool Writer::drain(Wait wait) {
    if (!advance_until(wait, [this] { return writes_.empty(); })) {
        return false;
    }
    high_ = 0;
    // librbd cuts an asynchronous write at the end of the image and does not report it.
    const uint64_t size = written_ > 0 ? image_.size() : 0;
    if (size < written_) {
        throw Error(EINVAL, "error writing " + image_.describe() +
                                ": data was written up to byte " + std::to_string(written_) +
                                ", but the image was resized to " + std::to_string(size) +
                                " bytes");
    }
    return true;
}

void Writer::queue_zeroes(uint64_t offset, uint64_t length) {
    if (fresh_ && offset >= written_) {
        return;
    }
    for (uint64_t at = 0; at < length; at += zero_piece) {
        queue(offset + at, std::min(length - at, zero_piece), nullptr, nullptr);
    }
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
    while (!failed_ && submitted_ < writes_.size() && !full()) {
        submit_write(writes_[submitted_]);
        ++submitted_;
    }
}

void Writer::submit_write(Write& write) {
    write.released_locks = lock::released(image_);
    submit<detail::ImageWrite>(write, [&](const abi::Functions& call, abi::rbd_image_t raw,
                                          abi::rbd_completion_t completion) {
        return write.data == nullptr
                   ? call.rbd_aio_write_zeroes(raw, write.offset, write.length, completion, 0, 0)
                   : call.rbd_aio_write(raw, write.offset, write.length, write.data, completion);
    });
}

// Takes the completed writes, in order, and frees their memory in the ring.
void Writer::collect() {
    while (submitted_ > 0) {
        Write& write = writes_.front();
        if (!is_complete(write)) {
            break;
        }
        if (write.result < 0) {
            failed_ = true;
            if (lock::may_be_left_behind(write.result) &&
                lock::release_left_behind(image_, write.released_locks, write.result)) {
                submit_write(write);
                failed_ = false;
                break;
            }
            check(write.result, [&] {
                return io::region(write.data == nullptr ? "zeroing" : "writing", image_,
                                  write.offset, write.length) +
                       lock::refusal(image_, static_cast<int>(-write.result));
            });
        }
        if (write.block != nullptr) {
            --write.block->pending;
        }
        writes_.pop_front();
        --submitted_;
    }
    while (!blocks_.empty() && blocks_.front().pending == 0) {
        ring_.give(blocks_.front().cost);
        blocks_.pop_front();
    }
}

}  // namespace rbdxx::pipeline
