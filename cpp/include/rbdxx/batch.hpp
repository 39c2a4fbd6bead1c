// Many asynchronous operations as one call. A bounded number of them is in flight: the thread in
// which one completes submits the next. Neighbours may go to librbd as one.
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

// Operations in flight at once: the default, and the most that a Batch takes.
inline constexpr uint64_t default_depth = 64;
inline constexpr uint64_t max_depth = 65536;

// Consecutive operations of a plan.
struct Run {
    uint64_t first = 0;
    uint32_t count = 0;
};

// The operations of a batch. Several of librbd's threads call it at once, but for one index only
// one thread at a time.
class Plan {
public:
    virtual ~Plan() = default;
    // Returns the number of operations.
    virtual uint64_t count() const noexcept = 0;
    // Returns an operation's offset in the image, in bytes.
    virtual uint64_t offset(uint64_t index) const noexcept = 0;
    // Returns an operation's length in bytes.
    virtual uint64_t length(uint64_t index) const noexcept = 0;
    // Throws MissingFunction if the loaded library lacks what submit() calls.
    virtual void require(const abi::Functions& functions) const = 0;
    // Tells a plan that write_later() made the image's size in bytes, before the first submit().
    virtual void set_image_size(uint64_t) noexcept {}
    // Returns how many operations, beginning with this one, one call of librbd does best.
    virtual uint32_t together(uint64_t) const noexcept { return 1; }
    // Submits that many operations as one: calls the C function. Returns what that returned.
    virtual ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, Run run,
                           abi::rbd_completion_t completion) noexcept = 0;
    // Called when librbd has completed them with `result`. Returns 0, the negative errno that they
    // fail with, or `incomplete` if they wrote fewer bytes than they had to.
    virtual int complete(Run run, ssize_t result) noexcept = 0;
    // Returns whether the operations write.
    virtual bool writes() const noexcept = 0;
    // Returns "writing" or "reading", for messages.
    const char* verb() const noexcept { return writes() ? "writing" : "reading"; }
    // Returns the number of bytes that an incomplete operation has written.
    virtual uint64_t written(uint64_t index) const noexcept = 0;
};

// What Plan::complete() returns for an operation that wrote fewer bytes than it had to.
inline constexpr int incomplete = -0x7fff;

// Runs every operation of a plan, even if others fail. Operations that fail together are tried
// again one by one, unless the time limit ended them. One thread uses it. A close of the image
// waits for it.
class Batch : public engine::Work {
public:
    // Up to `depth` operations are in flight at once. The caller keeps the memory that the plan
    // reads or writes until the batch has completed. `owner` gets a batch that was abandoned.
    // Throws ClosedError and MissingFunction.
    Batch(const Image& image, std::shared_ptr<Plan> plan, uint64_t depth,
          const engine::QueuePointer& owner = nullptr);
    ~Batch() override;

    // Waits for at most that time. Returns whether every operation has completed.
    bool run_for(std::chrono::nanoseconds time) noexcept;
    // Runs every operation without a thread that waits: submits as many as may be in flight, and
    // librbd's threads submit the others. `report`, which has begun on the same image, completes
    // with 0 once every operation has completed; the batch has released the image by then. Until
    // then only stop() may be called.
    void run_to(engine::Operation& report) noexcept;
    // Stops run_to(): no more operations are submitted. Any thread may call it.
    void stop() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
    // Submits nothing more. Operations in flight may complete.
    void cancel() noexcept;
    // To be called once everything has completed. Releases an exclusive lock that an outage left
    // behind (lock.hpp), if operations failed for it. Returns whether it did: then the caller has
    // to run all operations again.
    bool recover();
    // Cancels, waits for the operations in flight, and releases the image.
    void close() noexcept;
    // To be called once everything has completed. Throws BatchError for the failed operation of the
    // lowest index.
    void check() const;

private:
    class Slot;
    void prepare();
    using Time = std::chrono::steady_clock::time_point;
    static constexpr uint64_t none = std::numeric_limits<uint64_t>::max();

    bool submit_until(Time end) noexcept;
    bool submit_next(Slot& slot) noexcept;
    Run take() noexcept;
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

// Runs every operation of the plan and waits for all of them. Then throws BatchError if any has
// failed.
void run(const Image& image, const std::shared_ptr<Plan>& plan, uint64_t depth = default_depth);

// Blocks of one length at any offsets of the image, and next to each other in memory. Small ones
// that follow each other in the image go together.
class Blocks final : public Plan {
public:
    // Returns a plan that reads blocks of `length` bytes. `data` has offsets.size() * length bytes
    // and lives as long as the plan.
    static std::shared_ptr<Plan> read(char* data, std::vector<uint64_t> offsets, uint64_t length);
    // Returns a plan that writes blocks, likewise. Asks librbd for the image's size; throws Error.
    static std::shared_ptr<Plan> write(const Image& image, const char* data,
                                       std::vector<uint64_t> offsets, uint64_t length);
    // As write(), but does not ask for the image's size: set_image_size() must follow.
    static std::shared_ptr<Plan> write_later(const char* data, std::vector<uint64_t> offsets,
                                             uint64_t length);

    uint64_t count() const noexcept override { return offsets_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return offsets_[index]; }
    uint64_t length(uint64_t) const noexcept override { return length_; }
    uint32_t together(uint64_t index) const noexcept override;
    void set_image_size(uint64_t bytes) noexcept override { image_size_ = bytes; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, Run run,
                   abi::rbd_completion_t completion) noexcept override;
    int complete(Run run, ssize_t result) noexcept override;
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

// One region of the image, and any number of pieces of memory.
class Vectors final : public Plan {
public:
    // Reads into the pieces, one after the other. Their memory lives as long as the plan.
    Vectors(std::vector<iovec> vectors, uint64_t offset);
    // Writes the pieces, likewise. Asks librbd for the image's size; throws Error.
    Vectors(const Image& image, std::vector<iovec> vectors, uint64_t offset);
    // As the plan for writing, but does not ask for the image's size: set_image_size() must follow.
    static std::shared_ptr<Vectors> write_later(std::vector<iovec> vectors, uint64_t offset);

    uint64_t count() const noexcept override { return parts_.size(); }
    uint64_t offset(uint64_t index) const noexcept override { return parts_[index].offset; }
    uint64_t length(uint64_t index) const noexcept override { return parts_[index].length; }
    void set_image_size(uint64_t bytes) noexcept override { image_size_ = bytes; }
    void require(const abi::Functions& functions) const override;
    ssize_t submit(const abi::Functions& functions, abi::rbd_image_t image, Run run,
                   abi::rbd_completion_t completion) noexcept override;
    int complete(Run run, ssize_t result) noexcept override;
    bool writes() const noexcept override { return writes_; }
    uint64_t written(uint64_t index) const noexcept override { return image_size_ - offset(index); }

    // Returns the number of bytes that were read from the beginning, up to the first part that came
    // back short.
    uint64_t done() const noexcept;

private:
    // One call of librbd, which does not limit the pieces and bytes of a call well by itself.
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
