// Client-side encryption of an image with LUKS.
#pragma once

#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::encryption {

// A passphrase: its memory is wiped when it is let go of, and nothing copies it.
class Passphrase {
public:
    Passphrase(const char* data, std::size_t size) : bytes_(data, data + size) {}
    ~Passphrase() { wipe(); }
    Passphrase(Passphrase&& other) noexcept : bytes_(std::move(other.bytes_)) {}
    Passphrase(const Passphrase&) = delete;
    Passphrase& operator=(const Passphrase&) = delete;
    Passphrase& operator=(Passphrase&&) = delete;
    const char* data() const { return bytes_.data(); }
    std::size_t size() const { return bytes_.size(); }

private:
    void wipe() noexcept;

    std::vector<char> bytes_;
};

struct Layer {
    int format = 0;  // RBD_ENCRYPTION_FORMAT_*
    Passphrase passphrase;
};

// Writes a new LUKS header, which takes room from the image's size, and loads it; what the image
// held is lost. `algorithm`: RBD_ENCRYPTION_ALGORITHM_*. Implements: rbd_encryption_format
void format(const Image& image, int format, const Passphrase& passphrase, int algorithm);
// From now on the image reads and writes plain data. Implements: rbd_encryption_load
void load(const Image& image, const Layer& layer);
// The same where ancestors of a clone are encrypted too: the image's own layer first; the last one
// holds for all ancestors that are left. Implements: rbd_encryption_load2
void load(const Image& image, const std::vector<Layer>& layers);

}  // namespace rbdxx::encryption
