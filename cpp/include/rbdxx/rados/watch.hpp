// Watches of an object, and notifies: messages to all who watch it.
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

// A notify that waits for acknowledge(), at most as long as the notifier said.
struct Notice {
    uint64_t notify_id = 0;
    uint64_t notifier_id = 0;  // the instance id of the client that sent it
    std::string data;          // bytes
};

class Watch;

// What a watch calls, in librados's threads, which must not be kept waiting. `failed` may be empty
// and does not throw. They are destroyed with the watch.
struct Hooks {
    std::function<void(const std::shared_ptr<Watch>&, Notice&&)> notified;
    // A negative errno: the watch hears nothing any more.
    std::function<void(const std::shared_ptr<Watch>&, int)> failed;
};

// A registration with the object's OSD, which ends by close() or with the last share. It has a
// share of the connection and a context of its own, so that it outlives the context it was made
// with. Thread-safe.
class Watch : public std::enable_shared_from_this<Watch> {
public:
    // `timeout` seconds after this client was heard of last, the OSD drops the watch; 0 is the
    // cluster's default. Throws RadosError ENOENT. Implements: rados_watch3
    static std::shared_ptr<Watch> open(const IoCtx& ioctx, const std::string& object, Hooks hooks,
                                       uint32_t timeout);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // The watch's number; 0 once closed.
    uint64_t id() const noexcept;
    // How long ago the OSD was last heard of. Throws ClosedError, and RadosError for a watch that
    // has failed. Implements: rados_watch_check
    std::chrono::milliseconds check() const;
    // Answers a notify. Does nothing once closed. Implements: rados_notify_ack
    void acknowledge(uint64_t notify_id, const std::string& reply) noexcept;
    // Once this returns, no hook is called any more. Closing twice is no error. Throws what the OSD
    // reports. Implements: rados_unwatch2, rados_watch_flush
    void close();
    // As close(), for the last owner but the hooks' work: nobody is told what the OSD reports.
    void abandon() noexcept { end(); }
    // Whether no hook is to be heeded: closed, or the connection was shut down.
    bool closed() const noexcept;

private:
    Watch(IoCtx ioctx, std::string object, Hooks hooks)
        : ioctx_(std::move(ioctx)), object_(std::move(object)), hooks_(std::move(hooks)) {}
    static void notified(void* watch, uint64_t notify_id, uint64_t handle, uint64_t notifier_id,
                         void* data, std::size_t size) noexcept;
    static void failed(void* watch, uint64_t cookie, int error) noexcept;
    // Ends it; returns what the OSD reports.
    int end() noexcept;

    const IoCtx ioctx_;
    const std::string object_;
    const Hooks hooks_;
    mutable std::mutex mutex_;
    uint64_t cookie_ = 0;  // 0: librados does not know it
};

// Who has acknowledged a notify, and who has not.
struct Answers {
    struct Answer {
        uint64_t notifier_id = 0;  // the instance id of the client that watches
        uint64_t watch_id = 0;
        std::string reply;  // bytes
    };
    std::vector<Answer> answers;
    std::vector<std::pair<uint64_t, uint64_t>> missing;  // instance id, watch id
};

// The memory of a notify under way, which librados fills.
class Reply {
public:
    Reply() = default;
    ~Reply();
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;

    // Once the notify has completed. Throws LogicFault for what is no such answer.
    Answers answers() const;

    // The C call, on `completion`; returns its answer.
    int submit(const Use<IoCtxState>& call, const std::string& object, const char* data,
               std::size_t size, uint64_t milliseconds, void* completion);

private:
    const abi::Functions* functions_ = nullptr;
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

// Sends a message to all who watch an object. `operation` reaches `queue` once all have
// acknowledged it, or that much time has passed (0: the cluster's default; counted in seconds,
// rounded up): then it completes with -ETIMEDOUT. As the calls of aio.hpp; the message is copied.
// Implements: rados_aio_notify
void notify(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size, uint64_t milliseconds,
            Reply& reply);

// A notify for which one thread waits, or which it abandons.
class Notify : public engine::Work, private engine::Call {
public:
    Notify(const IoCtx& ioctx, std::string object, const engine::QueuePointer& owner = nullptr);
    ~Notify() override;

    // As notify() above, once.
    void submit(const char* data, std::size_t size, uint64_t milliseconds);
    // Once nothing is in flight. Throws RadosError: ETIMEDOUT where somebody has not acknowledged
    // it in time.
    Answers answers() const;

private:
    void completed(ssize_t result) noexcept override;

    const Use<IoCtxState> use_;
    const std::string object_;
    Reply reply_;
    ssize_t result_ = 0;
};

}  // namespace rbdxx::rados::watch
