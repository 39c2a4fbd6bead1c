// What differs between two points of an image's life.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <rbdxx/image.hpp>

namespace rbdxx::diff {

struct Extent {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    bool exists = false;  // false: zeroes, or gone
};
// Python sees the array of them as it is.
static_assert(sizeof(Extent) == 24);

// Extents in one stretch of memory, which grows without being copied where the system can move
// pages: a million of them cost little more than their bytes.
class Array {
public:
    Array() = default;
    ~Array() { std::free(data_); }
    Array(Array&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    Array& operator=(Array&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        return *this;
    }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    // False where there is no memory.
    bool append(const Extent& extent) noexcept {
        if (size_ == capacity_ && !grow()) {
            return false;
        }
        data_[size_++] = extent;
        return true;
    }
    std::size_t size() const noexcept { return size_; }
    const Extent* data() const noexcept { return data_; }
    Extent& back() noexcept { return data_[size_ - 1]; }
    const Extent& operator[](std::size_t index) const noexcept { return data_[index]; }
    const Extent* begin() const noexcept { return data_; }
    const Extent* end() const noexcept { return data_ + size_; }

private:
    bool grow() noexcept;

    Extent* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

struct Request {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    // From a snapshot by name or by id; from the beginning of the image without either.
    std::optional<std::string> from_name;
    std::optional<uint64_t> from_id;
    bool include_parent = true;  // where from the beginning
    // Extents of whole objects: quick with the object map. See maps_tell().
    bool whole_object = false;
};

// Whether the object maps name every byte that the diff has to name. They do not where encryption
// is loaded (before Ceph 19), nor from a snapshot since which the image had another size. The other
// calls here then do without them, whatever the request says: the extents are smaller, and the diff
// takes longer.
bool maps_tell(const Image& image, const Request& request);

// Calls `visit` in this thread for each extent, in order; a negative answer ends the iteration with
// that error. Implements: rbd_diff_iterate2, rbd_diff_iterate3
void iterate(const Image& image, const Request& request,
             const std::function<int(const Extent&)>& visit);

// Every extent. With `merge`, those that touch and are alike become one. `progress` is called now
// and then, with nothing to tell: a negative answer ends it. Throws std::bad_alloc.
Array collect(const Image& image, const Request& request, bool merge, const Progress& progress);

// "error generating the diff from snapshot 's' of image 'vm1'", for messages.
std::string describe(const Image& image, const Request& request);

}  // namespace rbdxx::diff
