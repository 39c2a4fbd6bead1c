// Locks on an image. Only programs that ask for advisory locks heed them. librbd acquires and
// releases the exclusive lock by itself, unless a program acquires it here.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include <rbdxx/error.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::lock {

// A holder of an advisory lock.
struct Locker {
    std::string client;   // "client.4123"
    std::string cookie;   // tells the locks of one client apart
    std::string address;  // of the client's process
};

// An advisory lock and its holders.
struct Lockers {
    std::string tag;  // of a shared lock
    bool exclusive = false;
    std::vector<Locker> lockers;  // empty: nobody holds an advisory lock
};

// The owners of the exclusive lock.
struct Owners {
    int mode = 0;  // constants::LOCK_MODE_*
    std::vector<std::string> names;
};

// Advisory locks. They do not keep other clients from writing, and they outlive the handle, until
// unlock() or break_advisory(). Every call throws Error if it fails.

// Returns the advisory lock that is held, and by whom. Implements: rbd_list_lockers
Lockers list(const Image& image);
// Takes a lock that no other client may hold at the same time. Throws Error: EBUSY if another lock
// is held, EEXIST if this client holds the same lock. Implements: rbd_lock_exclusive
void exclusive(const Image& image, const std::string& cookie);
// Takes a lock that other clients may hold too, with the same `tag`. Throws Error: EBUSY if a lock
// of another kind or tag is held, EEXIST if this client holds the same lock.
// Implements: rbd_lock_shared
void shared(const Image& image, const std::string& cookie, const std::string& tag);
// Releases this client's lock. Throws Error ENOENT if it holds no such lock. Implements: rbd_unlock
void unlock(const Image& image, const std::string& cookie);
// Takes an advisory lock away from a client ("client.4123") and puts the client on the blocklist. A
// lock of this connection itself is only released. Throws Error: ENOENT if the client holds no such
// lock, EINVAL if `client` is not the name of a client. Implements: rbd_break_lock
void break_advisory(const Image& image, const std::string& client, const std::string& cookie);

// The exclusive lock. librbd needs it to write to an image with the feature exclusive-lock. It
// belongs to a handle, and is released with it.

// Returns whether this handle holds the exclusive lock. Implements: rbd_is_exclusive_lock_owner
bool is_owner(const Image& image);
// Acquires the lock and keeps it until release(). `mode`: constants::LOCK_MODE_*. Throws Error:
// EROFS if another client keeps it, EINVAL if the image does not have the feature.
// Implements: rbd_lock_acquire
void acquire(const Image& image, int mode);
// Releases the lock. Throws Error EINVAL if this handle does not hold it.
// Implements: rbd_lock_release
void release(const Image& image);
// Returns the owners of the lock, without names if nobody holds it.
// Implements: rbd_lock_get_owners
Owners owners(const Image& image);
// Takes the exclusive lock away from an owner that no longer runs. Throws Error EBUSY if `owner`
// does not hold it. Implements: rbd_lock_break
void break_managed(const Image& image, int mode, const std::string& owner);

// Releases an exclusive lock that an outage left behind: a handle on the same connection was closed
// while the cluster did not answer, and could not release it. librbd refuses to break a lock of its
// own client. A lock counts as left behind once the cluster has forgotten the handle's watch. If
// there is one, the call takes seconds.
//
// `result` is what the refused call returned. If that is -EEXIST, the cluster has a lock of this
// handle's own watch: a closed handle's watch had the same number, or the cluster's answer was
// lost. Such a lock counts as left behind too. A call that has another reason for -EEXIST must not
// come here with that.
//
// Returns whether one was released since released() returned `before`. Several threads, whose calls
// were refused for the same lock, may ask.
bool release_left_behind(const Image& image, unsigned before, int64_t result) noexcept;
// As above, for an image that is not open: opens it. Returns whether a lock was released.
bool release_left_behind(const IoCtx& ioctx, const OpenOptions& options) noexcept;
// Returns the number of locks left behind that were released through this handle.
unsigned released(const Image& image) noexcept;
// Returns whether a lock left behind may be the reason for the result of a call. The result may
// have other reasons.
inline bool may_be_left_behind(int64_t result) noexcept {
    return result == -EINVAL || result == -EROFS || result == -EEXIST;
}

// Returns what `call()` returns. Calls it once more if a lock left behind was released.
template <class Call>
auto with_lock(const Image& image, const Call& call) {
    const unsigned before = released(image);
    auto result = call();
    return may_be_left_behind(result) && release_left_behind(image, before, result) ? call()
                                                                                    : result;
}

// As above, for a call that names an image and opens it itself. Such a call may also return EBUSY.
template <class Call>
auto with_lock(const IoCtx& ioctx, const OpenOptions& options, const Call& call) {
    const auto result = call();
    const bool maybe = may_be_left_behind(result) || result == -EBUSY;
    return maybe && release_left_behind(ioctx, options) ? call() : result;
}

// Returns what a message adds about another client that holds the exclusive lock: which client, and
// what to do. Empty if there is none, or if `code` is not EROFS.
std::string refusal(const Image& image, int code);

// with_lock() and check() in one, for calls that need the exclusive lock. Returns what `call()`
// returns. Throws Error with the message that `describe()` returns, and which client holds the
// lock.
template <class Call, class Describe>
auto check_with_lock(const Image& image, const Call& call, const Describe& describe) {
    const auto result = with_lock(image, call);
    return check(result, [&] { return describe() + refusal(image, static_cast<int>(-result)); });
}

}  // namespace rbdxx::lock
