// Client-side encryption of an image with LUKS.
#pragma once

#include <vector>

#include <rbdxx/image.hpp>
#include <rbdxx/secret.hpp>

namespace rbdxx::encryption {

struct Layer {
    int format = 0;  // RBD_ENCRYPTION_FORMAT_*
    Secret passphrase;
};

// Writes a new LUKS header, which takes room from the image's size, and loads it; what the image
// held is lost. `algorithm`: RBD_ENCRYPTION_ALGORITHM_*. Implements: rbd_encryption_format
void format(const Image& image, int format, const Secret& passphrase, int algorithm);
// From now on the image reads and writes plain data. Implements: rbd_encryption_load
void load(const Image& image, const Layer& layer);
// The same where ancestors of a clone are encrypted too: the image's own layer first; the last one
// holds for all ancestors that are left. Implements: rbd_encryption_load2
void load(const Image& image, const std::vector<Layer>& layers);

// Whether encryption was loaded through this handle or a copy of it. librbd does not tell: of a
// borrowed image, what its lender did is not known.
bool loaded(const Image& image);
// False only where no encryption is loaded for certain.
bool may_be_loaded(const Image& image);

}  // namespace rbdxx::encryption
