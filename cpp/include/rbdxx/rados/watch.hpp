// Watches of an object, and notifies, which are messages to all its watchers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/engine.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::watch {

// A notify that waits for Watch::acknowledge(), at most as long as its sender allows.
struct Notice {
    uint64_t notify_id = 0;
    uint64_t notifier_id = 0;  // the instance id of the client that sent it
    std::string data;          // bytes
};

class Watch;

// What a watch calls, in librados's threads. The hooks must return soon, and `failed` must not
// throw; it may be empty. They are destroyed with the watch.
struct Hooks {
    std::function<void(const std::shared_ptr<Watch>&, Notice&&)> notified;
    // Called with a negative errno: the watch gets no more notifies.
    std::function<void(const std::shared_ptr<Watch>&, int)> failed;
};

// A registration with the object's OSD. It ends by close(), or with the last share. It owns a share
// of the connection and its own context, so that it outlives the context that it was made with.
// Thread-safe.
class Watch : public std::enable_shared_from_this<Watch> {
public:
    // Registers a watch. The OSD drops it `timeout` seconds after it has heard from this client
    // last; 0 means the cluster's default. Throws RadosError ENOENT if there is no such object.
    // Implements: rados_watch3
    static std::shared_ptr<Watch> open(const IoCtx& ioctx, const std::string& object, Hooks hooks,
                                       uint32_t timeout);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // Returns the watch's number; 0 once closed.
    uint64_t id() const noexcept;
    // Returns the time since the OSD was last heard from. Throws ClosedError, and RadosError if the
    // watch has failed. Implements: rados_watch_check
    std::chrono::milliseconds check() const;
    // Answers a notify. Does nothing once closed. Implements: rados_notify_ack
    void acknowledge(uint64_t notify_id, const std::string& reply) noexcept;
    // Ends the watch: no hook is called after this returns. Closing twice does nothing. Throws
    // RadosError if the OSD reports one. Implements: rados_unwatch2, rados_watch_flush
    void close();
    // As close(), but drops an error that the OSD reports.
    void abandon() noexcept { end(); }
    // Returns whether the watch is closed, or its connection was shut down.
    bool closed() const noexcept;

private:
    Watch(IoCtx ioctx, std::string object, Hooks hooks)
        : ioctx_(std::move(ioctx)), object_(std::move(object)), hooks_(std::move(hooks)) {}
    static void notified(void* watch, uint64_t notify_id, uint64_t handle, uint64_t notifier_id,
                         void* data, std::size_t size) noexcept;
    static void failed(void* watch, uint64_t cookie, int error) noexcept;
    // Ends the watch. Returns what the OSD reports.
    int end() noexcept;

    const IoCtx ioctx_;
    const std::string object_;
    const Hooks hooks_;
    mutable std::mutex mutex_;
    uint64_t cookie_ = 0;  // 0: librados does not know it
};

// The watchers that have acknowledged a notify, and those that have not.
struct Answers {
    // What one watcher has answered.
    struct Answer {
        uint64_t notifier_id = 0;  // the instance id of the client that watches
        uint64_t watch_id = 0;
        std::string reply;  // bytes
    };
    std::vector<Answer> answers;
    std::vector<std::pair<uint64_t, uint64_t>> missing;  // instance id, watch id
};

// The answers to a notify, in memory that librados fills.
class Reply {
public:
    Reply() = default;
    ~Reply();
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;

    // Returns the answers, once the notify has completed. Throws LogicFault if librados has written
    // something else.
    Answers answers() const;

    // Makes the C call with `completion`. Returns its result.
    int submit(const Use<IoCtxState>& call, const std::string& object, const char* data,
               std::size_t size, uint64_t milliseconds, void* completion);

private:
    const abi::Functions* functions_ = nullptr;
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

// Submits a message to all watchers of an object, as the calls of aio.hpp do; the message is
// copied. `operation` completes with 0 once all watchers have acknowledged it, or with -ETIMEDOUT
// after `milliseconds`, rounded up to seconds; 0 means the cluster's default. Implements:
// rados_aio_notify
void notify(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size, uint64_t milliseconds,
            Reply& reply);

// A notify that one thread waits for, or abandons.
class Notify : public engine::Work, private engine::Call {
public:
    Notify(const IoCtx& ioctx, std::string object, const engine::QueuePointer& owner = nullptr);
    ~Notify() override;

    // Submits the message, as notify() does, once. Throws as notify().
    void submit(const char* data, std::size_t size, uint64_t milliseconds);
    // Returns the answers, once nothing is in flight. Throws RadosError: ETIMEDOUT if a watcher has
    // not acknowledged it in time.
    Answers answers() const;

private:
    void completed(ssize_t result) noexcept override;

    const Use<IoCtxState> use_;
    const std::string object_;
    Reply reply_;
    ssize_t result_ = 0;
};

}  // namespace rbdxx::rados::watch
