// Locks on an image: advisory ones, which only their takers heed, and the exclusive lock, which
// librbd takes and gives up by itself unless it is acquired here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::lock {

struct Locker {
    std::string client;
    std::string cookie;
    std::string address;
};

struct Lockers {
    std::string tag;  // of a shared lock
    bool exclusive = false;
    std::vector<Locker> lockers;  // empty: nobody holds an advisory lock
};

struct Owners {
    int mode = 0;  // RBD_LOCK_MODE_*
    std::vector<std::string> names;
};

// Implements: rbd_list_lockers
Lockers list(const Image& image);
// Implements: rbd_lock_exclusive
void exclusive(const Image& image, const std::string& cookie);
// Implements: rbd_lock_shared
void shared(const Image& image, const std::string& cookie, const std::string& tag);
// Implements: rbd_unlock
void unlock(const Image& image, const std::string& cookie);
// Takes another client's advisory lock away. Implements: rbd_break_lock
void break_advisory(const Image& image, const std::string& client, const std::string& cookie);

// Whether this very handle holds the exclusive lock. Implements: rbd_is_exclusive_lock_owner
bool is_owner(const Image& image);
// `mode`: RBD_LOCK_MODE_*. Implements: rbd_lock_acquire
void acquire(const Image& image, int mode);
// Implements: rbd_lock_release
void release(const Image& image);
// No names where nobody holds it. Implements: rbd_lock_get_owners
Owners owners(const Image& image);
// Takes the exclusive lock away from a dead owner. Implements: rbd_lock_break
void break_managed(const Image& image, int mode, const std::string& owner);

}  // namespace rbdxx::lock
