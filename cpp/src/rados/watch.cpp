#include <rbdxx/rados/watch.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/rados/aio.hpp>

#include <cerrno>
#include <climits>
#include <cstring>

namespace rbdxx::rados::watch {

std::shared_ptr<Watch> Watch::open(const IoCtx& ioctx, const std::string& object, Hooks hooks,
                                   uint32_t timeout) {
    std::shared_ptr<Watch> watch(new Watch(ioctx.duplicate(), object, std::move(hooks)));
    auto call = watch->ioctx_.connected();
    call->rados_unwatch2.require();
    call->rados_watch_flush.require();
    call->rados_notify_ack.require();
    // Held, so that notifies that come during the call wait for the watch's number.
    std::lock_guard<std::mutex> lock(watch->mutex_);
    rbdxx::check<RadosError>(call->rados_watch3(call.get(), object.c_str(), &watch->cookie_,
                                                notified, failed, timeout, watch.get()),
                             [&] {
                                 watch->cookie_ = 0;
                                 return "error watching " + call.state().object(object);
                             });
    return watch;
}

Watch::~Watch() {
    end();
}

void Watch::notified(void* argument, uint64_t notify_id, uint64_t /*handle*/, uint64_t notifier_id,
                     void* data, std::size_t size) noexcept {
    // Null if the watch is being destroyed. Never the last share, because end() waits for this.
    const auto watch = static_cast<Watch*>(argument)->weak_from_this().lock();
    if (watch == nullptr) {
        return;
    }
    try {
        watch->hooks_.notified(
            watch, {notify_id, notifier_id,
                    size > 0 ? std::string(static_cast<const char*>(data), size) : std::string()});
    } catch (const std::exception&) {
        // No memory: no hook is called, and the sender need not wait.
        watch->acknowledge(notify_id, {});
    }
}

void Watch::failed(void* argument, uint64_t /*cookie*/, int error) noexcept {
    const auto watch = static_cast<Watch*>(argument)->weak_from_this().lock();
    if (watch != nullptr && watch->hooks_.failed) {
        watch->hooks_.failed(watch, error);
    }
}

uint64_t Watch::id() const noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    return cookie_;
}

bool Watch::closed() const noexcept {
    const auto& cluster = ioctx_.state()->cluster;
    return id() == 0 ||
           (cluster != nullptr && cluster->connection.load() == ConnectionState::shut_down);
}

std::chrono::milliseconds Watch::check() const {
    auto call = ioctx_.connected();
    const uint64_t cookie = id();
    if (cookie == 0) {
        throw ClosedError("the watch of " + call.state().object(object_) + " is closed",
                          ClosedError::Subject::ioctx);
    }
    return std::chrono::milliseconds(rbdxx::check<RadosError>(
        call->rados_watch_check(call.get(), cookie),
        [&] { return "error checking the watch of " + call.state().object(object_); }));
}

void Watch::acknowledge(uint64_t notify_id, const std::string& reply) noexcept {
    try {
        auto call = ioctx_.use();
        // Not held over the call: librados may be calling notified().
        const uint64_t cookie = id();
        if (cookie != 0) {
            call->rados_notify_ack(call.get(), object_.c_str(), notify_id, cookie, reply.data(),
                                   static_cast<int>(reply.size()));
        }
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): a child has no watch
    }
}

int Watch::end() noexcept {
    if (ioctx_.state()->forked()) {
        return 0;
    }
    uint64_t cookie = 0;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        std::swap(cookie, cookie_);
    }
    if (cookie == 0) {
        return 0;
    }
    int result = 0;
    try {
        auto call = ioctx_.use();
        result = call->rados_unwatch2(call.get(), cookie);
        // The hooks that librados calls meanwhile have returned when this returns.
        call->rados_watch_flush(call->rados_ioctx_get_cluster(call.get()));
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): only this closes its context
    }
    return result;
}

void Watch::close() {
    if (ioctx_.state()->forked()) {
        throw ForkedError("the watch of object " + quoted(object_) +
                              " was opened before fork() and belongs to the parent process",
                          ClosedError::Subject::ioctx);
    }
    const int result = end();
    // The watches of a removed object have ended.
    if (result != -ENOENT) {
        rbdxx::check<RadosError>(result, [&] {
            return "error ending the watch of " + ioctx_.use().state().object(object_);
        });
    }
}

Reply::~Reply() {
    if (data_ != nullptr) {
        functions_->rados_buffer_free(data_);
    }
}

namespace {

// Reads the numbers of an encoded answer, one after the other; they are little-endian.
class Decoder {
public:
    Decoder(const char* data, std::size_t size) : at_(data), left_(size) {}

    template <class Number>
    Number number() {
        const char* bytes = take(sizeof(Number));
        Number value = 0;
        for (std::size_t i = 0; i < sizeof(Number); ++i) {
            value |= static_cast<Number>(static_cast<unsigned char>(bytes[i])) << (8 * i);
        }
        return value;
    }
    const char* take(std::size_t size) {
        if (size > left_) {
            throw LogicFault("librados's answer to a notify ends too early");
        }
        const char* taken = at_;
        at_ += size;
        left_ -= size;
        return taken;
    }

private:
    const char* at_;
    std::size_t left_;
};

}  // namespace

// librados 14 has no function that decodes it; the form is that of rados_notify2's documentation.
Answers Reply::answers() const {
    Answers found;
    if (data_ == nullptr) {
        return found;
    }
    Decoder decoder(data_, size_);
    for (auto left = decoder.number<uint32_t>(); left > 0; --left) {
        Answers::Answer answer;
        answer.notifier_id = decoder.number<uint64_t>();
        answer.watch_id = decoder.number<uint64_t>();
        const auto size = decoder.number<uint32_t>();
        answer.reply.assign(decoder.take(size), size);
        found.answers.push_back(std::move(answer));
    }
    for (auto left = decoder.number<uint32_t>(); left > 0; --left) {
        const auto client = decoder.number<uint64_t>();
        found.missing.emplace_back(client, decoder.number<uint64_t>());
    }
    return found;
}

int Reply::submit(const Use<IoCtxState>& call, const std::string& object, const char* data,
                  std::size_t size, uint64_t milliseconds, void* completion) {
    call->rados_buffer_free.require();
    functions_ = &call.functions();
    if (size > INT_MAX) {
        return -E2BIG;
    }
    // librados truncates it to seconds, and 0 would mean its own default.
    constexpr uint64_t second = 1000;
    const uint64_t whole = milliseconds / second * second;
    return call->rados_aio_notify(call.get(), object.c_str(), completion, data,
                                  static_cast<int>(size),
                                  whole == milliseconds ? whole : whole + second, &data_, &size_);
}

namespace {

std::string notifying(const Use<IoCtxState>& call, const std::string& object) {
    return "error notifying " + call.state().object(object);
}

}  // namespace

void notify(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size, uint64_t milliseconds,
            Reply& reply) {
    auto use = ioctx.connected();
    operation.submit<aio::Librados, RadosError>(
        std::move(queue), ioctx.state(), use.functions(),
        [&](void* completion) -> ssize_t {
            return reply.submit(use, object, data, size, milliseconds, completion);
        },
        [&] { return notifying(use, object); });
}

Notify::Notify(const IoCtx& ioctx, std::string object, const engine::QueuePointer& owner)
    : Work(owner), use_(ioctx.connected()), object_(std::move(object)) {}

Notify::~Notify() {
    wait();
}

void Notify::submit(const char* data, std::size_t size, uint64_t milliseconds) {
    aio::Librados::require(use_.functions());
    begin();
    ssize_t answer = 0;
    try {
        answer = submit_call<aio::Librados>(use_.functions(), [&](void* completion) {
            return reply_.submit(use_, object_, data, size, milliseconds, completion);
        });
    } catch (...) {
        end([] {});
        throw;
    }
    if (answer < 0) {
        end([] {});
        throw RadosError(static_cast<int>(-answer), notifying(use_, object_));
    }
}

void Notify::completed(ssize_t result) noexcept {
    end([&] { result_ = result; });
}

Answers Notify::answers() const {
    check<RadosError>(result_, [&] { return notifying(use_, object_); });
    return reply_.answers();
}

}  // namespace rbdxx::rados::watch
