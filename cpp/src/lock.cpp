#include <algorithm>

#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::lock {

namespace {

// A buffer of NUL-terminated strings, any of which may be empty (a cookie), and how much of it the
// library used or wants.
struct Strings {
    std::string buffer;
    std::size_t used = 0;

    void prepare() {
        // What the last attempt asked for, and never less than a plain locker needs.
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

}  // namespace

Lockers list(const Image& image) {
    auto use = image.use();
    auto describe = [&] { return "error listing lockers of " + image.describe(); };
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
                              // One of the four was too small; each remembers what it needs.
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
          [&] { return "error acquiring exclusive lock on " + image.describe(); });
}

void shared(const Image& image, const std::string& cookie, const std::string& tag) {
    auto use = image.use();
    check(use->rbd_lock_shared(use.get(), cookie.c_str(), tag.c_str()),
          [&] { return "error acquiring shared lock on " + image.describe(); });
}

void unlock(const Image& image, const std::string& cookie) {
    auto use = image.use();
    check(use->rbd_unlock(use.get(), cookie.c_str()),
          [&] { return "error unlocking " + image.describe(); });
}

void break_advisory(const Image& image, const std::string& client, const std::string& cookie) {
    auto use = image.use();
    check(use->rbd_break_lock(use.get(), client.c_str(), cookie.c_str()), [&] {
        return "error breaking the lock of " + quoted(client) + " on " + image.describe();
    });
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
    check(use->rbd_lock_acquire(use.get(), static_cast<abi::rbd_lock_mode_t>(mode)),
          [&] { return "error acquiring the exclusive lock of " + image.describe(); });
}

void release(const Image& image) {
    auto use = image.use();
    check(use->rbd_lock_release(use.get()),
          [&] { return "error releasing the exclusive lock of " + image.describe(); });
}

Owners owners(const Image& image) {
    auto use = image.use();
    abi::rbd_lock_mode_t mode{};
    auto names = sized_records<char*>(
        [&](char** array, std::size_t* count) {
            int result = use->rbd_lock_get_owners(use.get(), &mode, array, count);
            if (result == -ENOENT) {
                *count = 0;
                return 0;
            }
            return result;
        },
        [&] { return "error listing lock owners of " + image.describe(); }, std::size_t{8});
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

}  // namespace rbdxx::lock
