#include <rbdxx/rados/lock.hpp>

#include <sys/time.h>

#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::rados::lock {

namespace {

std::string lock_of(const std::string& name, const Use<IoCtxState>& call,
                    const std::string& object) {
    return "lock " + quoted(name) + " on " + call.state().object(object);
}

// Holds a duration in the form of the C API; null means no duration.
class Duration {
public:
    explicit Duration(const std::optional<std::chrono::microseconds>& duration)
        : given_(duration.has_value()) {
        if (duration) {
            value_.tv_sec = static_cast<time_t>(duration->count() / 1000000);
            value_.tv_usec = static_cast<suseconds_t>(duration->count() % 1000000);
        }
    }
    timeval* get() { return given_ ? &value_ : nullptr; }

private:
    bool given_;
    timeval value_{};
};

}  // namespace

void exclusive(const IoCtx& ioctx, const std::string& object, const Request& request) {
    auto call = ioctx.connected();
    Duration duration(request.duration);
    check<RadosError>(
        call->rados_lock_exclusive(call.get(), object.c_str(), request.name.c_str(),
                                   request.cookie.c_str(), request.description.c_str(),
                                   duration.get(), request.flags),
        [&] { return "error acquiring exclusive " + lock_of(request.name, call, object); });
}

void shared(const IoCtx& ioctx, const std::string& object, const Request& request,
            const std::string& tag) {
    auto call = ioctx.connected();
    Duration duration(request.duration);
    check<RadosError>(
        call->rados_lock_shared(call.get(), object.c_str(), request.name.c_str(),
                                request.cookie.c_str(), tag.c_str(), request.description.c_str(),
                                duration.get(), request.flags),
        [&] { return "error acquiring shared " + lock_of(request.name, call, object); });
}

void release(const IoCtx& ioctx, const std::string& object, const std::string& name,
             const std::string& cookie) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_unlock(call.get(), object.c_str(), name.c_str(), cookie.c_str()),
                      [&] { return "error releasing " + lock_of(name, call, object); });
}

void break_lock(const IoCtx& ioctx, const std::string& object, const std::string& name,
                const std::string& client, const std::string& cookie) {
    auto call = ioctx.connected();
    check<RadosError>(
        call->rados_break_lock(call.get(), object.c_str(), name.c_str(), client.c_str(),
                               cookie.c_str()),
        [&] { return "error taking " + lock_of(name, call, object) + " from " + quoted(client); });
}

Holders list(const IoCtx& ioctx, const std::string& object, const std::string& name) {
    auto call = ioctx.connected();
    Holders found;
    std::string tag, clients, cookies, addresses;
    std::size_t first = 1024;
    int exclusive = 0;
    const auto count = check<RadosError>(
        until_sized(first,
                    [&](std::size_t& size) -> ssize_t {
                        std::size_t sizes[4] = {size, size, size, size};
                        std::string* buffers[4] = {&tag, &clients, &cookies, &addresses};
                        for (std::string* buffer : buffers) {
                            buffer->assign(size, '\0');
                        }
                        const ssize_t result = call->rados_list_lockers(
                            call.get(), object.c_str(), name.c_str(), &exclusive, tag.data(),
                            &sizes[0], clients.data(), &sizes[1], cookies.data(), &sizes[2],
                            addresses.data(), &sizes[3]);
                        for (std::size_t needed : sizes) {
                            size = needed > size ? needed : size;
                        }
                        return result;
                    }),
        [&] { return "error listing the holders of " + lock_of(name, call, object); });
    found.tag = tag.c_str();
    found.exclusive = exclusive != 0;
    // A cookie may be empty, so the count determines where the lists end.
    const char* client = clients.c_str();
    const char* cookie = cookies.c_str();
    const char* address = addresses.c_str();
    for (ssize_t i = 0; i < count; ++i) {
        found.holders.push_back({client, cookie, address});
        client += found.holders.back().client.size() + 1;
        cookie += found.holders.back().cookie.size() + 1;
        address += found.holders.back().address.size() + 1;
    }
    return found;
}

}  // namespace rbdxx::rados::lock
