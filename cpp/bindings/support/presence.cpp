#include "presence.hpp"

#include <algorithm>
#include <cerrno>

#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/snapshot.hpp>

#include "gil.hpp"

namespace rbdxx::python {

Presence::Presence(const PyImage& image, const std::optional<std::string>& start) : image_(image) {
    without_gil([&] {
        const auto at = snapshot::position(image);
        head_ = at.head();
        learns_ = !image->state()->read_only;
        if (!head_) {
            set_to_ =
                at.id ? "snapshot id " + std::to_string(*at.id) : "snapshot " + quoted(*at.name);
            if (!learns_) {
                at.id ? snapshots_.push_back({*at.id, set_to_}) : add(*at.name);
            }
        }
        if (start) {
            add(*start);
        }
        probe();
    });
}

std::optional<uint64_t> Presence::check() const {
    std::optional<uint64_t> size;
    if (learns_) {
        without_gil([&] {
            size = look(image_);
            probe();
        });
        return size;
    }
    const auto again = open_again(image_, std::nullopt);
    without_gil([&] { size = look(*again); });
    again->close();
    return size;
}

void Presence::check_snapshots() const {
    if (!head_ || !snapshots_.empty()) {
        check();
    }
}

void Presence::add(const std::string& name) {
    const auto all = snapshot::list(image_);
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
    if (found == all.end()) {
        throw Error(ENOENT, image_->describe() + " has no snapshot " + quoted(name));
    }
    snapshots_.push_back({found->id, "snapshot " + quoted(name)});
}

// A handle that learns of changes does so at the latest when it is asked for the size, which is
// then 0 if its snapshot is gone. Only a read fails.
void Presence::probe() const {
    if (head_ || !learns_) {
        return;
    }
    if (image_->size() > 0) {
        char byte = 0;
        io::read(image_, &byte, 0, 1);
        return;
    }
    // The list has the size with the header.
    const uint64_t header = image_->state()->encryption_header;
    const bool known = header > 0 || !encryption::may_be_loaded(image_);
    const auto at = snapshot::position(image_);
    const auto all = snapshot::list(image_);
    if (std::none_of(all.begin(), all.end(), [&](const auto& one) {
            return (one.size <= header || !known) &&
                   (at.id ? one.id == *at.id : one.name == *at.name);
        })) {
        throw_removed(set_to_);
    }
}

std::optional<uint64_t> Presence::look(const Image& now) const {
    if (!snapshots_.empty()) {
        const auto all = snapshot::list(now);
        for (const Snapshot& snapshot : snapshots_) {
            if (std::none_of(all.begin(), all.end(),
                             [&](const auto& one) { return one.id == snapshot.id; })) {
                throw_removed(snapshot.title);
            }
        }
    }
    return head_ ? std::optional(now.size()) : std::nullopt;
}

void Presence::throw_removed(const std::string& title) const {
    throw Error(ENOENT, image_->describe() + ": " + title + " was removed while it was read");
}

}  // namespace rbdxx::python
