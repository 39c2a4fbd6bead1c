// Client-side encryption of an image with LUKS.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/image.hpp>
#include <rbdxx/secret.hpp>

namespace rbdxx::encryption {

// The encryption of one image of a chain of clones.
struct Layer {
    int format = 0;  // constants::ENCRYPTION_FORMAT_*
    Secret passphrase;
};

// Writes a new LUKS header and loads it. The image's data is lost, and its usable size is smaller
// by the header. `format`: constants::ENCRYPTION_FORMAT_LUKS1 or _LUKS2; `algorithm`:
// constants::ENCRYPTION_ALGORITHM_*. Throws Error: EOPNOTSUPP for a format that librbd does not
// know or a striped image, ENOSPC if there is no room for the header. Throws MissingFunction before
// Ceph 16. Implements: rbd_encryption_format
void format(const Image& image, int format, const Secret& passphrase, int algorithm);
// Opens the image's encryption: from now on this handle decrypts what it reads and encrypts what it
// writes. Throws Error: EPERM for a wrong passphrase, EEXIST if encryption is loaded already,
// EINVAL if the image does not have such a header. Throws MissingFunction before Ceph 16.
// Implements: rbd_encryption_load
void load(const Image& image, const Layer& layer);
// Opens the encryption of a clone and of its ancestors. The first layer is the image's own; the
// last one holds for all further ancestors too. Throws as load(), and MissingFunction before
// Ceph 18. Implements: rbd_encryption_load2
void load(const Image& image, const std::vector<Layer>& layers);

// Returns whether encryption was loaded through this handle or a copy of it. librbd does not report
// it: for a borrowed image, the lender may have loaded it too.
bool loaded(const Image& image);
// Returns false only if certainly no encryption is loaded.
bool may_be_loaded(const Image& image);
// Refuses to copy the stored bytes of an encrypted image where its first `size` bytes end inside a
// block of the cipher, which could not be decrypted again. `what` begins the message.
void require_whole_blocks(const Image& image, uint64_t size, const std::string& what);
// Opens the image once more, with its exclusive lock, if it is encrypted and this handle has not
// loaded that. librbd lets the handle with the lock make the changes of others, in which encryption
// may be loaded. If so, a librbd without layers flattens a clone by encrypting its header, which
// nothing can read then, and one with layers adds the header to a new size. Returns nothing for
// other images. Throws Error EROFS if another client keeps the lock.
std::optional<Image> open_stored(const Image& image);

}  // namespace rbdxx::encryption
