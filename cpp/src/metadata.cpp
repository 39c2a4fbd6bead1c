#include <iterator>

#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/metadata.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::metadata {

namespace {

// The most pairs that one call lists.
constexpr uint64_t chunk = 64;

template <class Function, class State>
std::string get_by(const Function& function, const Use<State>& use, const std::string& key,
                   const std::string& owner) {
    return sized_string(
        [&](char* value, std::size_t* size) {
            return function(use.get(), key.c_str(), value, size);
        },
        [&] { return "error getting metadata " + quoted(key) + owner; }, 4096);
}

template <class Function, class State>
Pairs list_by(const Function& function, const Use<State>& use, const std::string& owner) {
    Pairs pairs;
    std::string last;
    for (;;) {
        auto more = sized_pairs(
            [&](char* keys, std::size_t* keys_size, char* values, std::size_t* values_size) {
                return function(use.get(), last.c_str(), chunk, keys, keys_size, values,
                                values_size);
            },
            [&] { return "error listing metadata" + owner; });
        // The next call starts after the last key. With a key that is not later it would never end.
        if (more.empty() || (!pairs.empty() && more.back().first <= last)) {
            return pairs;
        }
        last = more.back().first;
        pairs.insert(pairs.end(), std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
    }
}

std::string of(const Image& image) {
    return " of " + image.describe();
}

std::string of(const IoCtx& ioctx) {
    return ioctx.place();
}

}  // namespace

std::string get(const Image& image, const std::string& key) {
    auto use = image.use();
    return get_by(use->rbd_metadata_get, use, key, of(image));
}

std::string get(const IoCtx& ioctx, const std::string& key) {
    auto use = ioctx.use();
    return get_by(use->rbd_pool_metadata_get, use, key, of(ioctx));
}

void set(const Image& image, const std::string& key, const std::string& value) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_metadata_set(use.get(), key.c_str(), value.c_str()); },
        [&] { return "error setting metadata " + quoted(key) + of(image); });
}

void set(const IoCtx& ioctx, const std::string& key, const std::string& value) {
    auto use = ioctx.use();
    check(use->rbd_pool_metadata_set(use.get(), key.c_str(), value.c_str()),
          [&] { return "error setting metadata " + quoted(key) + of(ioctx); });
}

void remove(const Image& image, const std::string& key) {
    auto use = image.use();
    lock::check_with_lock(
        image, [&] { return use->rbd_metadata_remove(use.get(), key.c_str()); },
        [&] { return "error removing metadata " + quoted(key) + of(image); });
}

void remove(const IoCtx& ioctx, const std::string& key) {
    auto use = ioctx.use();
    check(use->rbd_pool_metadata_remove(use.get(), key.c_str()),
          [&] { return "error removing metadata " + quoted(key) + of(ioctx); });
}

Pairs list(const Image& image) {
    auto use = image.use();
    return list_by(use->rbd_metadata_list, use, of(image));
}

Pairs list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return list_by(use->rbd_pool_metadata_list, use, of(ioctx));
}

}  // namespace rbdxx::metadata
