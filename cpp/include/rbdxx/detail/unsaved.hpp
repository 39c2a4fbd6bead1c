// Whether an image has changes of its data that may be in librbd's cache alone. With Ceph's default
// policy (writearound), discards are such changes too.
#pragma once

#include <atomic>
#include <mutex>

namespace rbdxx::detail {

// Thread-safe. A close waits for the writes and flushes in flight, and asks afterwards.
class Unsaved {
public:
    // Notes that librbd has taken a change. To be called once the write is complete, and before the
    // program can know of that: then a later flush saves the data.
    void wrote() noexcept {
        if (!written_.load()) {
            written_.store(true);
        }
    }
    // Notes that a flush begins. end_flush() must follow.
    void begin_flush() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        ++flushes_;
        if (written_.exchange(false)) {
            flushing_ = true;
        }
    }
    void end_flush(bool saved) noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        --flushes_;
        if (!saved && flushing_) {
            written_.store(true);
        }
        // Another flush that still runs may have begun before some of the data was written.
        if (saved && flushes_ == 0) {
            flushing_ = false;
        }
    }
    bool any() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return written_.load() || flushing_;
    }

private:
    mutable std::mutex mutex_;
    std::atomic<bool> written_{false};
    int flushes_ = 0;
    bool flushing_ = false;  // flushes took data that none of them is known to have saved
};

}  // namespace rbdxx::detail
