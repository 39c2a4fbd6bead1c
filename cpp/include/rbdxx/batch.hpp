// Many asynchronous operations as one call: a bounded number of them in flight, each one's
// successor submitted by the thread in which it completes.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <rbdxx/engine.hpp>
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
    // Tells a plan that was made by write_later() how large the image is, before the first
    // submit().
    virtual void set_image_size(uint64_t) noexcept {}
    // Calls the C function; gives its answer.
    virtual ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                           abi::rbd_completion_t completion) noexcept = 0;
    // An operation has completed with `result`: the negative errno that it is to fail with, or 0;
    // `incomplete` where less was written than asked.
    virtual int complete(uint64_t index, ssize_t result) noexcept = 0;
    virtual bool writes() const noexcept = 0;
    const char* verb() const noexcept { return writes() ? "writing" : "reading"; }
    // How many bytes of an operation that is incomplete were written.
    virtual uint64_t written(uint64_t index) const noexcept = 0;
};

inline constexpr int incomplete = -0x7fff;

// A run of every operation of a plan, whatever becomes of the others. Used by one thread; a close
// of the image waits for it.
class Batch : public engine::Work {
public:
    // Up to `depth` operations are in flight at once. What a plan works on stays the caller's, and
    // must live until the batch is over; `owner` gets a batch that was abandoned.
    Batch(const Image& image, std::shared_ptr<Plan> plan, uint64_t depth,
          const engine::QueuePointer& owner = nullptr);
    ~Batch() override;

    // Whether every operation is over, after at most that time.
    bool run_for(std::chrono::nanoseconds time) noexcept;
    // Submits as many operations as may be in flight, and leaves the rest to librbd's threads, so
    // that nobody waits: `report`, which has begun on the same image, completes with 0 once every
    // operation is over. Until then only stop() may be called. The batch has left the image then.
    void run_to(engine::Operation& report) noexcept;
    // Submits nothing more, of what run_to() runs. Any thread may call it.
    void stop() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
    // Submits nothing more. What is in flight may complete.
    void cancel() noexcept;
    // Once all is over: whether operations failed for an exclusive lock that an outage had left
    // behind, which this releases (lock.hpp). Then all is to be run once more.
    bool recover();
    // Cancels, waits for what is in flight, and leaves the image.
    void close() noexcept;
    // Once all is over: throws BatchError for the failed operation of the lowest index.
    void check() const;

private:
    class Slot;
    void prepare();
    using Time = std::chrono::steady_clock::time_point;
    static constexpr uint64_t none = std::numeric_limits<uint64_t>::max();

    bool submit_until(Time end) noexcept;
    bool submit_next(Slot& slot) noexcept;
    void end_one() noexcept;
    void look_at_failure() noexcept;
    void fail(uint64_t index, int code) noexcept;

    const Image image_;
    std::optional<Use<ImageState>> use_;
    const std::shared_ptr<Plan> plan_;
    std::vector<Slot> slots_;
    std::vector<Slot*> mine_;
    std::atomic<uint64_t> next_{0};
    std::atomic<bool> cancelled_{false};
    unsigned released_locks_ = 0;
    engine::Operation* report_ = nullptr;
    std::exception_ptr failure_;  // of what run_to() ran
    uint64_t failed_index_ = none;
    int failed_code_ = 0;
};

// Runs every operation of the plan and waits for all of them; then throws as Batch::check() does.
void run(const Image& image, const std::shared_ptr<Plan>& plan, uint64_t depth = default_depth);

// Blocks of one length at any offsets, from or to one stretch of memory.
class Blocks final : public Plan {
public:
    // `data` has offsets.size() * length bytes and lives as long as the plan; `length` in bytes.
    static std::shared_ptr<Plan> read(char* data, std::vector<uint64_t> offsets, uint64_t length);
    static std::shared_ptr<Plan> write(const Image& image, const char* data,
                                       std::vector<uint64_t> offsets, uint64_t length);
    // As write(), without I/O: set_image_size() must follow.
    static std::shared_ptr<Plan> write_later(const char* data, std::vector<uint64_t> offsets,
                                             uint64_t length);

    uint64_t count() const noexcept override { return offsets_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return offsets_[index]; }
    uint64_t length(uint64_t) const noexcept override { return length_; }
    void set_image_size(uint64_t bytes) noexcept override { image_size_ = bytes; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                   abi::rbd_completion_t completion) noexcept override;
    int complete(uint64_t index, ssize_t result) noexcept override;
    bool writes() const noexcept override { return writes_; }
    uint64_t written(uint64_t index) const noexcept override { return image_size_ - offset(index); }

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
    // As those for writing, without I/O: set_image_size() must follow.
    static std::shared_ptr<Vectors> write_later(std::vector<iovec> vectors, uint64_t offset);

    uint64_t count() const noexcept override { return parts_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return parts_[index].offset; }
    uint64_t length(uint64_t index) const noexcept override { return parts_[index].length; }
    void set_image_size(uint64_t bytes) noexcept override { image_size_ = bytes; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, uint64_t index,
                   abi::rbd_completion_t completion) noexcept override;
    int complete(uint64_t index, ssize_t result) noexcept override;
    bool writes() const noexcept override { return writes_; }
    uint64_t written(uint64_t index) const noexcept override { return image_size_ - offset(index); }

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
