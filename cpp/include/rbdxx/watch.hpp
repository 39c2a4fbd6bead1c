// Watches of an image: who has one, and hearing of changes and of snapshots about to be taken.
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

struct Watcher {
    std::string address;  // of the client's process
    int64_t id = 0;       // the client's
    uint64_t cookie = 0;
};

// Everyone who watches: every client that has the image open for writing.
// Implements: rbd_watchers_list
std::vector<Watcher> list(const Image& image);

// What a watch calls, in librbd's threads, which must not be kept waiting: all may be empty, none
// may throw. Whatever they refer to must live until `ended`.
struct Hooks {
    std::function<void()> changed;
    // complete() with the watch and the number given must follow.
    std::function<void(const std::shared_ptr<Watch>&, uint64_t)> quiesce;
    std::function<void()> unquiesce;
    std::function<void()> ended;  // no other hook is called afterwards
};

// A registration with librbd, which ends by close() or with the image. Thread-safe.
class Watch : public std::enable_shared_from_this<Watch> {
public:
    // Calls `changed` whenever the image's header has changed: its size, snapshots, features, lock.
    // Implements: rbd_update_watch
    static std::shared_ptr<Watch> on_update(const Image& image, Hooks hooks);
    // Calls `quiesce` before a snapshot is taken, which waits for complete(), and `unquiesce`
    // afterwards. Where no answer comes within `limit` (zero: no limit), the snapshot fails with
    // EBUSY: librbd itself gives up only after rbd_quiesce_notification_attempts times 5 seconds,
    // and may then ask again without an end. Implements: rbd_quiesce_watch
    static std::shared_ptr<Watch> on_quiesce(const Image& image, Hooks hooks,
                                             std::chrono::nanoseconds limit);

    // Answers the quiesce of that number: 0, or the negative errno with which taking the snapshot
    // is to fail. Does nothing where it does not wait any more. Implements: rbd_quiesce_complete
    void complete(uint64_t number, int result) noexcept;

    // Ends it; closing twice is no error. Throws what librbd reports.
    // Implements: rbd_update_unwatch, rbd_quiesce_unwatch
    void close();
    bool closed() const noexcept { return ended_.load(); }

    // For the image, which has no other use left: ends it. Gives librbd's answer.
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
