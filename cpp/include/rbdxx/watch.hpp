// Watches of an image: listing the clients that have one, and being called for changes of the image
// and for snapshots about to be taken.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::watch {

class Watch;

// A client that watches an image.
struct Watcher {
    std::string address;  // of the client's process
    int64_t id = 0;       // the client's
    uint64_t cookie = 0;
};

// Returns the watchers: the clients that have the image open for writing. Throws Error.
// Implements: rbd_watchers_list
std::vector<Watcher> list(const Image& image);

// What a watch calls, in librbd's threads. The hooks must return soon and must not throw; each may
// be empty. What they refer to must live until `ended` is called.
struct Hooks {
    std::function<void()> changed;
    // A snapshot is about to be taken. Call Watch::complete() of the given watch with the given
    // number, once writes are held back.
    std::function<void(const std::shared_ptr<Watch>&, uint64_t)> quiesce;
    std::function<void()> unquiesce;  // the snapshot was taken, or has failed
    std::function<void()> ended;      // no other hook is called afterwards
};

// A registration with librbd. It ends by close(), or with the image. Thread-safe.
class Watch : public std::enable_shared_from_this<Watch> {
public:
    // Calls `changed` whenever the image's header has changed: its size, snapshots, features, lock.
    // Throws Error. Implements: rbd_update_watch
    static std::shared_ptr<Watch> on_update(const Image& image, Hooks hooks);
    // Calls `quiesce` before a snapshot is taken, waits for complete(), and calls `unquiesce`
    // afterwards. If complete() is not called within `limit` (0: no limit), the snapshot fails with
    // EBUSY. librbd itself stops waiting only after rbd_quiesce_notification_attempts times 5
    // seconds, and may then ask again without an end. Throws Error, and MissingFunction before
    // Ceph 16. Implements: rbd_quiesce_watch
    static std::shared_ptr<Watch> on_quiesce(const Image& image, Hooks hooks,
                                             std::chrono::nanoseconds limit);

    // Answers the quiesce of that number with 0, or with the negative errno that the snapshot is to
    // fail with. Does nothing if librbd no longer waits for it. Implements: rbd_quiesce_complete
    void complete(uint64_t number, int result) noexcept;

    // Ends the watch. Closing twice does nothing. Throws Error if librbd reports one.
    // Implements: rbd_update_unwatch, rbd_quiesce_unwatch
    void close();
    // Returns whether the watch has ended.
    bool closed() const noexcept { return ended_.load(); }

    // For the image, when it is closed: ends the watch. Returns what librbd returned.
    int end() noexcept;

private:
    Watch(const Image& image, Hooks hooks, bool quiesces)
        : hooks_(std::move(hooks)), quiesces_(quiesces), image_(image.state()) {}
    template <class Register>
    static std::shared_ptr<Watch> open(const Image& image, Hooks hooks, bool quiesces,
                                       std::chrono::nanoseconds limit, const Register& call);
    static void changed(void* watch) noexcept;
    static void quiesce(void* argument) noexcept;
    static void unquiesce(void* argument) noexcept;
    void limit_wait(uint64_t number) noexcept;
    void answer(int result) noexcept;

    const Hooks hooks_;
    const bool quiesces_;
    const std::weak_ptr<ImageState> image_;
    const abi::Functions* functions_ = nullptr;
    abi::rbd_image_t raw_ = nullptr;
    uint64_t handle_ = 0;
    std::mutex mutex_;
    std::condition_variable answered_;
    std::chrono::nanoseconds limit_{0};
    uint64_t quiesces_seen_ = 0;
    uint64_t waiting_ = 0;  // the number of the quiesce that waits for its answer; 0: none does
    bool open_ = false;     // librbd knows it
    std::atomic<bool> ended_{false};
};

}  // namespace rbdxx::watch
