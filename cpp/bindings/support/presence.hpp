// What a call reads from an image, which must still be there at the end of the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image.hpp"

namespace rbdxx::python {

// The snapshots that a call reads: the one that the image is set to, and perhaps another. One that
// another client has removed reads as zeroes through a read-only handle, which does not learn of
// changes. Through another handle, the image has the size 0.
class Presence {
public:
    // `start` is the name of the other snapshot. Throws Error ENOENT if one does not exist. The
    // image must live as long as this.
    explicit Presence(const PyImage& image, const std::optional<std::string>& start = std::nullopt);
    // Throws Error ENOENT if a snapshot was removed. Returns the size of the image now, if it is
    // set to its head.
    std::optional<uint64_t> check() const;
    // As check(), for a call to which the size does not matter.
    void check_snapshots() const;

private:
    struct Snapshot {
        uint64_t id;  // another snapshot may get the name meanwhile
        std::string title;
    };
    void add(const std::string& name);
    void probe() const;
    std::optional<uint64_t> look(const Image& now) const;
    [[noreturn]] void throw_removed(const std::string& title) const;

    const PyImage& image_;
    bool head_ = false;
    bool learns_ = false;  // of changes
    std::string set_to_;   // the title of the snapshot, unless the image is set to its head
    std::vector<Snapshot> snapshots_;
};

}  // namespace rbdxx::python
