#include <algorithm>
#include <chrono>
#include <exception>
#include <string_view>
#include <thread>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/watch.hpp>

namespace rbdxx::lock {

namespace {

// A buffer of NUL-terminated strings, and the length that the library has used or needs. A string
// may be empty, for example a cookie.
struct Strings {
    std::string buffer;
    std::size_t used = 0;

    void prepare() {
        // At least the length that the last attempt asked for, and the length that one plain locker
        // needs.
        buffer.assign(std::max({used, buffer.size(), std::size_t{256}}), '\0');
        used = buffer.size();
    }
    std::vector<std::string> take(std::size_t count) const {
        std::vector<std::string> strings;
        for (std::size_t at = 0; strings.size() < count && at < buffer.size();) {
            strings.emplace_back(buffer.c_str() + at);
            at += strings.back().size() + 1;
        }
        strings.resize(count);
        return strings;
    }
};

// Returns "client.4123" of the image's connection; empty if the connection is not known.
std::string own_client(const Image& image) {
    auto use = image.use();
    const ImageState& state = use.state();
    const abi::rados_t connection = state.cluster ? state.cluster->raw : state.connection;
    return connection == nullptr
               ? std::string()
               : "client." + std::to_string(use->rados_get_instance_id(connection));
}

// librbd takes the exclusive lock with this tag, and with a cookie of this text and the number of
// the handle's watch.
constexpr const char* managed_tag = "internal";
constexpr std::string_view managed_cookie = "auto ";

bool is_managed(const Lockers& lockers, const Locker& locker) {
    return lockers.tag == managed_tag &&
           std::string_view(locker.cookie).substr(0, managed_cookie.size()) == managed_cookie;
}

}  // namespace

Lockers list(const Image& image) {
    auto use = image.use();
    auto describe = [&] { return "error listing the lockers of " + image.describe(); };
    int exclusive = 0;
    Strings tag;
    Strings clients;
    Strings cookies;
    Strings addresses;
    Strings* const all[] = {&tag, &clients, &cookies, &addresses};
    ssize_t count =
        check(until_sized(std::size_t{256},
                          [&](std::size_t& size) {
                              for (Strings* strings : all) {
                                  strings->prepare();
                              }
                              ssize_t answer = use->rbd_list_lockers(
                                  use.get(), &exclusive, tag.buffer.data(), &tag.used,
                                  clients.buffer.data(), &clients.used, cookies.buffer.data(),
                                  &cookies.used, addresses.buffer.data(), &addresses.used);
                              // One of the four buffers was too small; each one remembers the size
                              // that it needs.
                              for (Strings* strings : all) {
                                  size = std::max(size, strings->used);
                              }
                              return answer;
                          }),
              describe);
    Lockers found;
    found.exclusive = exclusive != 0;
    found.tag = tag.buffer.c_str();
    auto total = static_cast<std::size_t>(count);
    auto client_names = clients.take(total);
    auto cookie_names = cookies.take(total);
    auto address_names = addresses.take(total);
    for (std::size_t i = 0; i < total; ++i) {
        found.lockers.push_back({client_names[i], cookie_names[i], address_names[i]});
    }
    return found;
}

void exclusive(const Image& image, const std::string& cookie) {
    auto use = image.use();
    check(use->rbd_lock_exclusive(use.get(), cookie.c_str()),
          [&] { return "error acquiring an exclusive advisory lock on " + image.describe(); });
}

void shared(const Image& image, const std::string& cookie, const std::string& tag) {
    auto use = image.use();
    check(use->rbd_lock_shared(use.get(), cookie.c_str(), tag.c_str()),
          [&] { return "error acquiring a shared advisory lock on " + image.describe(); });
}

void unlock(const Image& image, const std::string& cookie) {
    auto use = image.use();
    check(use->rbd_unlock(use.get(), cookie.c_str()),
          [&] { return "error releasing an advisory lock on " + image.describe(); });
}

void break_advisory(const Image& image, const std::string& client, const std::string& cookie) {
    auto use = image.use();
    // librbd would put this very connection on the blocklist.
    const bool own = client == own_client(image);
    check(
        own ? use->rbd_unlock(use.get(), cookie.c_str())
            : use->rbd_break_lock(use.get(), client.c_str(), cookie.c_str()),
        [&] { return "error breaking the lock of " + quoted(client) + " on " + image.describe(); });
}

bool is_owner(const Image& image) {
    auto use = image.use();
    int answer = 0;
    check(use->rbd_is_exclusive_lock_owner(use.get(), &answer),
          [&] { return "error asking for the exclusive lock of " + image.describe(); });
    return answer == 1;
}

void acquire(const Image& image, int mode) {
    auto use = image.use();
    check_with_lock(
        image,
        [&] { return use->rbd_lock_acquire(use.get(), static_cast<abi::rbd_lock_mode_t>(mode)); },
        [&] { return "error acquiring the exclusive lock of " + image.describe(); });
}

void release(const Image& image) {
    auto use = image.use();
    image.save();
    check(use->rbd_lock_release(use.get()),
          [&] { return "error releasing the exclusive lock of " + image.describe(); });
}

Owners owners(const Image& image) {
    auto use = image.use();
    abi::rbd_lock_mode_t mode{};
    auto list = [&](char** array, std::size_t* count) {
        int result = use->rbd_lock_get_owners(use.get(), &mode, array, count);
        if (result == -EINVAL) {
            throw Error(EINVAL, "error listing the owners of the exclusive lock of " +
                                    image.describe() +
                                    ": the handle must be open for writing and not at a snapshot, "
                                    "and the image must have the feature exclusive-lock");
        }
        if (result == -ENOENT) {
            *count = 0;
            return 0;
        }
        return result;
    };
    auto names = sized_records<char*>(
        list,
        [&] { return "error listing the owners of the exclusive lock of " + image.describe(); },
        std::size_t{8});
    Records<char*> owned(std::move(names), use.functions().rbd_lock_get_owners_cleanup);
    Owners found;
    found.mode = static_cast<int>(mode);
    for (const char* name : owned) {
        found.names.push_back(text_of(name));
    }
    return found;
}

void break_managed(const Image& image, int mode, const std::string& owner) {
    auto use = image.use();
    check(use->rbd_lock_break(use.get(), static_cast<abi::rbd_lock_mode_t>(mode), owner.c_str()),
          [&] {
              return "error breaking the exclusive lock of " + quoted(owner) + " on " +
                     image.describe();
          });
}

namespace {

std::string cookie_of(const watch::Watcher& watcher) {
    return std::string(managed_cookie) + std::to_string(watcher.cookie);
}

// Returns the cookies of this client's exclusive locks that do not belong to a watch of a handle.
std::vector<std::string> left_behind(const Image& image) {
    const std::string own = own_client(image);
    const Lockers lockers = list(image);
    const auto watchers = watch::list(image);
    std::vector<std::string> found;
    for (const Locker& locker : lockers.lockers) {
        auto held = [&](const watch::Watcher& watcher) {
            return locker.cookie == cookie_of(watcher);
        };
        const bool mine = own.empty() || locker.client == own;
        if (mine && is_managed(lockers, locker) &&
            std::none_of(watchers.begin(), watchers.end(), held)) {
            found.push_back(locker.cookie);
        }
    }
    return found;
}

// A live handle may have lost its watch. Within this time librbd registers another.
constexpr std::chrono::seconds rewatch{6};

}  // namespace

unsigned released(const Image& image) noexcept {
    return image.state()->released_locks.load();
}

namespace {

// Releases the lock that the cluster has for this handle's own watch, although the handle does not
// know it. The list of lockers may not have the lock yet, and no function returns the number of the
// watch. The other watches do not have the lock, because it is exclusive.
bool release_own(const Image& image) noexcept {
    try {
        auto use = image.use();
        const auto watchers = watch::list(image);
        return std::any_of(watchers.begin(), watchers.end(), [&](const watch::Watcher& watcher) {
            return use->rbd_unlock(use.get(), cookie_of(watcher).c_str()) == 0;
        });
    } catch (const std::exception&) {
        // The call that needs the lock reports the error.
        return false;
    }
}

bool release_any(const Image& image) noexcept {
    bool any = false;
    try {
        if (is_owner(image)) {
            // As the cluster says. If the handle does not know that, a flush has that result.
            auto use = image.use();
            return use->rbd_flush(use.get()) == -EEXIST && release_own(image);
        }
        const auto first = left_behind(image);
        if (first.empty()) {
            return false;
        }
        std::this_thread::sleep_for(rewatch);
        auto use = image.use();
        for (const std::string& cookie : left_behind(image)) {
            if (std::find(first.begin(), first.end(), cookie) != first.end()) {
                // ENOENT if another client has the lock.
                any = use->rbd_unlock(use.get(), cookie.c_str()) == 0 || any;
            }
        }
    } catch (const std::exception&) {
        // The call that needs the lock reports the error.
        return any;
    }
    return any;
}

}  // namespace

bool release_left_behind(const Image& image, unsigned before, int64_t result) noexcept {
    ImageState& state = *image.state();
    std::lock_guard<std::mutex> lock(state.release_mutex);
    if (state.released_locks.load() == before &&
        (result == -EEXIST ? release_own(image) : release_any(image))) {
        state.released_locks.fetch_add(1);
    }
    return state.released_locks.load() != before;
}

bool release_left_behind(const IoCtx& ioctx, const OpenOptions& options) noexcept {
    try {
        // A watch of this client's would keep others from removing the image.
        OpenOptions looking = options;
        looking.read_only = true;
        Image image = Image::open(ioctx, looking);
        const bool any = release_any(image);
        image.close();
        return any;
    } catch (const std::exception&) {
        // The call that names the image reports what is wrong.
        return false;
    }
}

std::string refusal(const Image& image, int code) {
    if (code != EROFS) {
        return {};
    }
    try {
        const Owners found = owners(image);
        if (found.names.empty() || is_owner(image)) {
            return {};
        }
        return ": the client at " + found.names.front() +
               " holds the exclusive lock; call lock_acquire(RBD_LOCK_MODE_EXCLUSIVE), or close "
               "the image there";
    } catch (const Error&) {
        return {};
    }
}

}  // namespace rbdxx::lock
