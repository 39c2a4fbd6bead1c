// The size of an image, for callers that must not wait for the cluster: librbd may have to ask it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace rbdxx::detail {

struct Size {
    // Of a size that nobody keeps up to date.
    static constexpr uint64_t no_version = 0;

    uint64_t bytes = 0;
    uint64_t version = no_version;  // grows with each change of the image
};

// What the last answer of librbd was, and whether the image has changed since. Thread-safe.
class KnownSize {
public:
    // librbd has told of a change, or this process has made one.
    void changed() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        ++version_;
    }
    // librbd tells of changes from now on.
    void watched() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        watched_ = true;
    }
    // Somebody else has the handle, whose changes nobody tells of.
    void shared() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        shared_ = true;
    }
    bool is_watched() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return watched_;
    }

    // To be asked for before librbd is asked for the size, and passed to learn() with it.
    uint64_t version() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return version_;
    }
    Size learn(uint64_t bytes, uint64_t version) noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!watched_ || shared_) {
            return {bytes, Size::no_version};
        }
        known_ = {bytes, version};
        return known_;
    }
    // Nothing if the image has changed since.
    std::optional<Size> get() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (known_.version != version_ || shared_) {
            return std::nullopt;
        }
        return known_;
    }
    // Whether the image may have changed since that size was learned.
    bool outdated(const Size& size) const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return size.version != Size::no_version && size.version != version_;
    }

    // What waits for the size, in aio::ask_size(), and whether a thread asks for it.
    struct Waiting {
        Size* size;
        std::function<void(int)> then;
    };
    std::mutex waiting_mutex;
    std::vector<Waiting> waiting;
    bool asking = false;

private:
    mutable std::mutex mutex_;
    uint64_t version_ = Size::no_version + 1;
    Size known_;
    bool watched_ = false;
    bool shared_ = false;
};

}  // namespace rbdxx::detail
