#include <rbdxx/error.hpp>
#include <rbdxx/merge.hpp>
#include <rbdxx/records.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace rbdxx::merge {

namespace {

// The caller copies data of at least this many bytes: the system may copy it from file to file.
constexpr uint64_t long_data = 64 << 10;

// Reads `size` bytes. Returns false for an error or the end of the file; reading again reports it.
bool read_at(const File& file, char* memory, uint64_t length, uint64_t position) {
    while (length > 0) {
        const ssize_t done =
            ::pread(file.descriptor, memory, length, static_cast<off_t>(file.base + position));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        memory += done;
        length -= static_cast<uint64_t>(done);
        position += static_cast<uint64_t>(done);
    }
    return true;
}

}  // namespace

void Merge::add(uint64_t offset, uint64_t length, int stream, int64_t position) {
    // The first order is that of add_below().
    if (extents_.size() >= std::numeric_limits<uint32_t>::max() - 1) {
        throw ArgumentError("the differences have more than 4 billion extents");
    }
    if (length > 0) {
        extents_.push_back({offset, offset + length, position,
                            static_cast<uint32_t>(extents_.size() + 1),
                            static_cast<uint32_t>(stream)});
    }
}

void Merge::add_below(uint64_t offset, uint64_t length) {
    extents_.push_back({offset, offset + length, -1, 0, 0});
}

uint64_t Merge::take(const char* data, uint64_t size, int version, uint64_t limit, int stream,
                     int64_t position) {
    uint64_t done = 0;
    while (const auto record = records::whole(data + done, size - done, version, limit)) {
        const auto at = position + static_cast<int64_t>(done + record->header);
        add(record->offset, record->length, stream, record->data ? at : -1);
        done += record->size;
    }
    return done;
}

std::optional<Stretch> Merge::next(uint64_t limit) {
    if (!sorted_) {
        std::stable_sort(
            extents_.begin(), extents_.end(),
            [](const Extent& one, const Extent& other) { return one.offset < other.offset; });
        sorted_ = true;
    }
    for (;;) {
        if (waiting_.empty()) {
            if (at_ == extents_.size()) {
                return std::nullopt;
            }
            position_ = extents_[at_].offset;
        }
        for (; at_ < extents_.size() && extents_[at_].offset <= position_; ++at_) {
            waiting_.push(extents_[at_]);
        }
        if (waiting_.top().end <= position_) {
            waiting_.pop();
            continue;
        }
        break;
    }
    if (position_ >= limit) {
        return std::nullopt;
    }
    const Extent latest = waiting_.top();
    uint64_t stop = std::min(latest.end, limit);
    // An extent that begins within this one hides the rest of it only if it is later.
    for (; at_ < extents_.size() && extents_[at_].offset < stop; ++at_) {
        if (extents_[at_].order > latest.order) {
            stop = extents_[at_].offset;
            break;
        }
        waiting_.push(extents_[at_]);
    }
    Stretch stretch{position_, stop, static_cast<int>(latest.stream), -1};
    if (latest.position >= 0) {
        stretch.position = latest.position + static_cast<int64_t>(position_ - latest.offset);
    }
    position_ = stop;
    return stretch;
}

Filled Merge::fill(char* memory, uint64_t size, int version, uint64_t limit,
                   const std::array<File, 2>& files) {
    Filled filled;
    while (size - filled.size >= records::most_header + long_data) {
        const auto stretch = next(limit);
        if (!stretch) {
            filled.ended = true;
            break;
        }
        const uint64_t length = stretch->end - stretch->offset;
        const bool has_data = stretch->position >= 0;
        filled.size +=
            records::describe(memory + filled.size, version, stretch->offset, length, has_data);
        filled.reached = stretch->end;
        if (!has_data) {
            continue;
        }
        const auto position = static_cast<uint64_t>(stretch->position);
        const auto index = static_cast<std::size_t>(stretch->stream);
        if (length >= long_data ||
            !read_at(files.at(index), memory + filled.size, length, position)) {
            filled.stream = stretch->stream;
            filled.position = position;
            filled.length = length;
            break;
        }
        filled.size += length;
    }
    return filled;
}

}  // namespace rbdxx::merge
