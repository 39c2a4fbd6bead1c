// The size of an image, for callers that must not wait: librbd may have to ask the cluster for it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace rbdxx::detail {

struct Size {
    // The version of a size that is not kept up to date.
    static constexpr uint64_t no_version = 0;

    uint64_t bytes = 0;
    uint64_t version = no_version;  // grows with each change of the image
};

// The size that librbd returned last, and whether the image has changed since. Thread-safe.
class KnownSize {
public:
    // librbd has reported a change, or this process has made one.
    void changed() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        ++version_;
    }
    // librbd reports changes from now on.
    void watched() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        watched_ = true;
    }
    // Another library has the handle too; its changes are not reported.
    void shared() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        shared_ = true;
    }
    bool is_watched() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return watched_;
    }

    // To be read before librbd is asked for the size, and passed to learn() with that.
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
    // Returns the size; nothing if the image has changed since.
    std::optional<Size> get() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (known_.version != version_ || shared_) {
            return std::nullopt;
        }
        return known_;
    }
    // Returns whether the image may have changed since that size was learned.
    bool outdated(const Size& size) const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return size.version != Size::no_version && size.version != version_;
    }

    // The callers of aio::ask_size() that wait for the size, and whether a thread asks for it.
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
