// Advisory locks on an object: only programs that ask for them heed them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::lock {

// The lock to take.
struct Request {
    std::string name;
    std::string cookie;  // tells the locks of one client apart
    std::string description;
    std::optional<std::chrono::microseconds> duration;  // nothing: until it is released
    uint8_t flags = 0;                                  // LIBRADOS_LOCK_FLAG_* of Ceph's header
};

// Takes a lock that no other client may hold at the same time. Throws RadosError: EBUSY if another
// client holds it, EEXIST if this client holds it with the same cookie.
// Implements: rados_lock_exclusive
void exclusive(const IoCtx& ioctx, const std::string& object, const Request& request);
// Takes a lock that other clients may hold too, with the same `tag`. Throws RadosError: EBUSY if
// the lock is held in another way, EEXIST as above. Implements: rados_lock_shared
void shared(const IoCtx& ioctx, const std::string& object, const Request& request,
            const std::string& tag);

// Releases a lock. Throws RadosError ENOENT if this client does not hold it.
// Implements: rados_unlock
void release(const IoCtx& ioctx, const std::string& object, const std::string& name,
             const std::string& cookie);

// Takes the lock away from a client ("client.4123"). Throws RadosError ENOENT if that client does
// not hold it. Implements: rados_break_lock
void break_lock(const IoCtx& ioctx, const std::string& object, const std::string& name,
                const std::string& client, const std::string& cookie);

// A holder of a lock.
struct Holder {
    std::string client;
    std::string cookie;
    std::string address;
};
// A lock and its holders.
struct Holders {
    std::string tag;  // of a shared lock
    bool exclusive = false;
    std::vector<Holder> holders;  // empty: nobody holds the lock
};
// Returns the holders of a lock. Throws RadosError. Implements: rados_list_lockers
Holders list(const IoCtx& ioctx, const std::string& object, const std::string& name);

}  // namespace rbdxx::rados::lock
