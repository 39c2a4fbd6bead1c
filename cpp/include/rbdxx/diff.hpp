// Differences: the extents of an image that changed between two snapshots, or since it was empty.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <rbdxx/image.hpp>

namespace rbdxx::diff {

// A region of the image that differs.
struct Extent {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    bool exists = false;  // false: the extent holds zeroes now
};
// Python's buffer protocol shows the array as it is.
static_assert(sizeof(Extent) == 24);

// Extents in one piece of memory. It grows without a copy if the system can move pages, so that a
// million extents cost little more than their bytes.
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

    // Adds an extent. Returns false if there is no memory for it.
    bool append(const Extent& extent) noexcept {
        if (size_ == capacity_ && !grow()) {
            return false;
        }
        data_[size_++] = extent;
        return true;
    }
    // Returns the number of extents.
    std::size_t size() const noexcept { return size_; }
    // Returns the first extent, with the others behind it. A later append() may move them.
    const Extent* data() const noexcept { return data_; }
    // Returns the last extent. There must be one.
    Extent& back() noexcept { return data_[size_ - 1]; }
    // Returns an extent by its index, which must be less than size().
    const Extent& operator[](std::size_t index) const noexcept { return data_[index]; }
    // Returns the place of the first extent, for range-based loops.
    const Extent* begin() const noexcept { return data_; }
    // Returns the place behind the last extent.
    const Extent* end() const noexcept { return data_ + size_; }

private:
    bool grow() noexcept;

    Extent* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// Which difference to compute.
struct Request {
    uint64_t offset = 0;  // bytes
    uint64_t length = 0;  // bytes
    // The snapshot to begin at, by name or by id. Without either, the difference begins at the
    // empty image.
    std::optional<std::string> from_name;
    std::optional<uint64_t> from_id;
    // Whether a clone's difference contains its parent's data. It matters without a snapshot only.
    bool include_parent = true;
    // Report whole objects, which is quick with the object map. See maps_tell().
    bool whole_object = false;
};

// Returns whether the object maps report every changed byte. They do not since a snapshot, because
// librbd does not mark in them what a rollback has changed, nor if encryption is loaded (before
// Ceph 19). The other calls of this header then ask for each object, whatever the request says, and
// take longer. Since a snapshot they still report whole objects, if the image has the maps, is not
// striped, and no encryption is loaded.
bool maps_tell(const Image& image, const Request& request);

// Calls `visit` in this thread for each extent, in order of offset. A negative return value ends
// the iteration. Throws Error with that errno, or ENOENT if there is no such snapshot. Implements:
// rbd_diff_iterate2, rbd_diff_iterate3
void iterate(const Image& image, const Request& request,
             const std::function<int(const Extent&)>& visit);

// Returns every extent, in order of offset. With `merge`, neighbouring extents with the same
// `exists` become one. `progress` is called now and then, with zeroes: a negative return value ends
// the call. Throws as iterate(), and std::bad_alloc.
Array collect(const Image& image, const Request& request, bool merge, const Progress& progress);

// Returns "error generating the diff from snapshot 's' of image 'vm1'", for messages.
std::string describe(const Image& image, const Request& request);

}  // namespace rbdxx::diff
