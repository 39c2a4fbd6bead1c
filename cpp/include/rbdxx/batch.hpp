// Many asynchronous operations as one call: a bounded number of them in flight, each one's
// successor submitted by the thread in which it settles.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::batch {

// Operations in flight.
inline constexpr uint64_t default_depth = 64;
inline constexpr uint64_t max_depth = 65536;

// What the operations of a batch are. Called by librbd's threads, several at once, each index by
// one at a time.
class Plan {
public:
    virtual ~Plan() = default;
    virtual uint64_t count() const noexcept = 0;
    virtual uint64_t offset(uint64_t index) const noexcept = 0;  // bytes
    virtual uint64_t length(uint64_t index) const noexcept = 0;  // bytes
    // Throws MissingFunction where the loaded library lacks what submit() calls.
    virtual void require(const abi::Functions& functions) const = 0;
    // Calls the C function; gives its answer.
    virtual ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                           abi::rbd_completion_t completion) noexcept = 0;
    // What an operation settled with: the negative errno that it is to fail with, or 0.
    // `incomplete` where less was written than asked.
    virtual int settle(uint64_t index, ssize_t result) noexcept = 0;
    // "reading", "writing".
    virtual const char* verb() const noexcept = 0;
};

inline constexpr int incomplete = -0x7fff;

enum class Outcome {
    done,
    interrupted,  // every operation that was submitted has settled
    orphaned,     // some have not yet
};

// Takes what must be let go of in another thread than the one that calls it.
using Orphan = std::function<void(std::shared_ptr<void>)>;

// Runs every operation of `plan`, whatever becomes of the others, with up to `depth` in flight.
// Then throws BatchError for the failed one of the lowest index. Any thread may run a batch; a
// close of the image waits for it.
//
// `interrupted` is asked every now and then. When it says yes, no more are submitted. Where those
// in flight take more than a moment to settle, returns all the same: what `orphan()` gives is
// called once they have, by one of librbd's threads; the plan's memory must live until then.
Outcome run(const Image& image, const std::shared_ptr<Plan>& plan, uint64_t depth,
            const std::function<bool()>& interrupted, const std::function<Orphan()>& orphan);

// Blocks of one length at any offsets, from or to one stretch of memory.
class Blocks final : public Plan {
public:
    // `data` has offsets.size() * length bytes and lives as long as the plan; `length` in bytes.
    static std::shared_ptr<Plan> read(char* data, std::vector<uint64_t> offsets, uint64_t length);
    static std::shared_ptr<Plan> write(const Image& image, const char* data,
                                       std::vector<uint64_t> offsets, uint64_t length);

    uint64_t count() const noexcept override { return offsets_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return offsets_[index]; }
    uint64_t length(uint64_t) const noexcept override { return length_; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                   abi::rbd_completion_t completion) noexcept override;
    int settle(uint64_t index, ssize_t result) noexcept override;
    const char* verb() const noexcept override { return writes_ ? "writing" : "reading"; }

private:
    Blocks(char* data, std::vector<uint64_t> offsets, uint64_t length, bool writes,
           uint64_t image_size)
        : data_(data),
          offsets_(std::move(offsets)),
          length_(length),
          writes_(writes),
          image_size_(image_size) {}

    char* data_;
    std::vector<uint64_t> offsets_;
    uint64_t length_;
    bool writes_;
    uint64_t image_size_;
};

// One stretch of the image, from or to any number of pieces of memory.
class Vectors final : public Plan {
public:
    // For reading. `vectors` name memory that lives as long as the plan.
    Vectors(std::vector<iovec> vectors, uint64_t offset);
    // For writing.
    Vectors(const Image& image, std::vector<iovec> vectors, uint64_t offset);

    uint64_t count() const noexcept override { return parts_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return parts_[index].offset; }
    uint64_t length(uint64_t index) const noexcept override { return parts_[index].length; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                   abi::rbd_completion_t completion) noexcept override;
    int settle(uint64_t index, ssize_t result) noexcept override;
    const char* verb() const noexcept override { return writes_ ? "writing" : "reading"; }

    // The bytes read from the beginning, up to where one came back short.
    uint64_t done() const noexcept;

private:
    // What one call takes: librbd limits neither well.
    struct Part {
        std::size_t first;  // of the vectors
        int vectors;
        uint64_t offset;
        uint64_t length;
        uint64_t done;
    };
    void divide(uint64_t offset);

    std::vector<iovec> vectors_;
    std::vector<Part> parts_;
    bool writes_ = false;
    uint64_t image_size_ = 0;
};

}  // namespace rbdxx::batch
