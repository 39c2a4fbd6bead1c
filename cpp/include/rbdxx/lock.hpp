// Locks on an image: advisory ones, which only their takers heed, and the exclusive lock, which
// librbd takes and gives up by itself unless it is acquired here.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/error.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::lock {

struct Locker {
    std::string client;   // "client.4123"
    std::string cookie;   // tells the locks of one client apart
    std::string address;  // of the client's process
};

struct Lockers {
    std::string tag;  // of a shared lock
    bool exclusive = false;
    std::vector<Locker> lockers;  // empty: nobody holds an advisory lock
};

// Who holds the exclusive lock, which librbd itself manages.
struct Owners {
    int mode = 0;  // RBD_LOCK_MODE_*
    std::vector<std::string> names;
};

// Advisory locks: names on the image that keep nobody from it who does not ask. EBUSY where another
// kind of lock stands, EEXIST for one's own. They outlive the handle, until unlock() or a break.

// Implements: rbd_list_lockers
Lockers list(const Image& image);
// Implements: rbd_lock_exclusive
void exclusive(const Image& image, const std::string& cookie);
// Implements: rbd_lock_shared
void shared(const Image& image, const std::string& cookie, const std::string& tag);
// Implements: rbd_unlock
void unlock(const Image& image, const std::string& cookie);
// Takes an advisory lock away from its client, which is put on the blocklist (unless it is this
// connection itself, which releases the lock instead). Implements: rbd_break_lock
void break_advisory(const Image& image, const std::string& client, const std::string& cookie);

// The exclusive lock, without which librbd does not write where the image has that feature. It goes
// with the handle.

// Whether this very handle holds the exclusive lock. Implements: rbd_is_exclusive_lock_owner
bool is_owner(const Image& image);
// `mode`: RBD_LOCK_MODE_*. Implements: rbd_lock_acquire
void acquire(const Image& image, int mode);
// Implements: rbd_lock_release
void release(const Image& image);
// No names if nobody holds it. Implements: rbd_lock_get_owners
Owners owners(const Image& image);
// Takes the exclusive lock away from a dead owner. Implements: rbd_lock_break
void break_managed(const Image& image, int mode, const std::string& owner);

// Releases an exclusive lock that a handle on the same connection, closed while the cluster did not
// answer, could not release: librbd refuses to break a lock of its own client. It counts as left
// behind once the cluster has forgotten the handle's watch. Takes seconds if there is one.
//
// Returns whether one was released since `before`, which released() returned: the threads whose
// calls were refused for the same lock may all ask.
bool release_left_behind(const Image& image, unsigned before) noexcept;
// The same for an image that is not open, which is opened for it.
bool release_left_behind(const IoCtx& ioctx, const OpenOptions& options) noexcept;
// How many locks left behind were released through this handle.
unsigned released(const Image& image) noexcept;
// Whether librbd answers so if a lock left behind stands in the way. It has other reasons, too.
inline bool may_be_left_behind(int64_t result) noexcept {
    return result == -EINVAL || result == -EROFS || result == -EEXIST;
}

// The answer of `call()`, which is made once more if a lock left behind stood in its way.
template <class Call>
auto with_lock(const Image& image, const Call& call) {
    const unsigned before = released(image);
    auto result = call();
    return may_be_left_behind(result) && release_left_behind(image, before) ? call() : result;
}

// The same for a call that names an image: it opens the image itself, and also answers EBUSY.
template <class Call>
auto with_lock(const IoCtx& ioctx, const OpenOptions& options, const Call& call) {
    const auto result = call();
    const bool maybe = may_be_left_behind(result) || result == -EBUSY;
    return maybe && release_left_behind(ioctx, options) ? call() : result;
}

// What a message adds about another client that holds the exclusive lock: who, and what to do.
// Empty unless `code` is EROFS and there is one.
std::string refusal(const Image& image, int code);

// with_lock() and check() in one, for calls that need the exclusive lock: the message adds who
// holds it.
template <class Call, class Describe>
auto check_with_lock(const Image& image, const Call& call, const Describe& describe) {
    const auto result = with_lock(image, call);
    return check(result, [&] { return describe() + refusal(image, static_cast<int>(-result)); });
}

}  // namespace rbdxx::lock
