// Locks on an object: notes that programs agree to heed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::lock {

struct Request {
    std::string name;
    std::string cookie;  // tells the locks of one client apart
    std::string description;
    std::optional<std::chrono::microseconds> duration;  // nothing: until it is released
    uint8_t flags = 0;
};

// Throws RadosError EBUSY where another has it, EEXIST where this client and cookie have it.
// Implements: rados_lock_exclusive
void exclusive(const IoCtx& ioctx, const std::string& object, const Request& request);
// All that share the lock give the same tag. Implements: rados_lock_shared
void shared(const IoCtx& ioctx, const std::string& object, const Request& request,
            const std::string& tag);

// Throws RadosError ENOENT where this client does not have it. Implements: rados_unlock
void release(const IoCtx& ioctx, const std::string& object, const std::string& name,
             const std::string& cookie);

// Takes the lock from another client ("client.4123"). Implements: rados_break_lock
void break_lock(const IoCtx& ioctx, const std::string& object, const std::string& name,
                const std::string& client, const std::string& cookie);

struct Holder {
    std::string client;
    std::string cookie;
    std::string address;
};
struct Holders {
    std::string tag;
    bool exclusive = false;
    std::vector<Holder> holders;
};
// Implements: rados_list_lockers
Holders list(const IoCtx& ioctx, const std::string& object, const std::string& name);

}  // namespace rbdxx::rados::lock
