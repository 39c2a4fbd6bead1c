// An open image that one extension module lends to another, as plain C.
//
// In Python, `image.__rbdxx_image__()` returns a PyCapsule whose name is RBDXX_IMAGE_CAPSULE and
// whose pointer is a `rbdxx_image_v1*`. The borrower calls acquire() while it holds the capsule;
// from then on neither the capsule nor the Python Image is needed: the handle stays open until
// release(), even if the Image is closed or collected meanwhile. Each acquire() takes one
// release().
//
// No function here needs the GIL. The last release() after a close() closes the image and may take
// a while; over a stock `rados.Ioctx` it takes the GIL for a moment, so do not call it while a lock
// is held that another Python thread waits for.
//
// This header needs no library: a borrower may call librbd through `functions` alone. One that
// links rbdxx::rbdxx has capsule::borrow(), which makes it an rbdxx::Image.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <rbdxx/error.hpp>

#define RBDXX_IMAGE_CAPSULE "rbdxx.image.v1"

extern "C" {

// A function of librbd's or librados' C API by its name; `pointer` is null if the loaded library
// lacks it.
struct rbdxx_function_v1 {
    const char* name;
    void (*pointer)(void);
};

// An image that its owner lends.
struct rbdxx_image_v1 {
    // Bytes of this struct in the lender's version; a field beyond them is not there. Later
    // versions add fields at the end.
    size_t size;
    // The rbd_image_t; valid between acquire() and release().
    void* image;
    // Keeps the image open. Returns 0, -EBADF if the image is closed, or -ESHUTDOWN after a fork().
    int (*acquire)(struct rbdxx_image_v1* self);
    // Gives up what acquire() took.
    void (*release)(struct rbdxx_image_v1* self);
    // The C functions as the lender has loaded them. Valid until the process ends.
    const struct rbdxx_function_v1* functions;
    size_t function_count;
};

}  // extern "C"

namespace rbdxx {

class Image;

namespace capsule {

// A borrower's share of a lent image: acquired by the constructor, released by the destructor.
class Share {
public:
    // Throws ClosedError if the image is closed, ForkedError after a fork().
    explicit Share(rbdxx_image_v1* lent) : lent_(lent) {
        int result = lent->acquire(lent);
        if (result == -ESHUTDOWN) {
            throw ForkedError("the image was opened before fork() and belongs to the parent");
        }
        if (result < 0) {
            throw ClosedError("the image is closed");
        }
    }
    ~Share() {
        if (lent_ != nullptr) {
            lent_->release(lent_);
        }
    }
    Share(Share&& other) noexcept : lent_(std::exchange(other.lent_, nullptr)) {}
    Share& operator=(Share&& other) noexcept {
        std::swap(lent_, other.lent_);
        return *this;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Returns the rbd_image_t.
    void* get() const { return lent_->image; }

    // Returns a C function: share.function<int(void*, uint64_t*)>("rbd_get_size"). Throws
    // MissingFunction if the lender's librbd lacks it.
    template <class Signature>
    Signature* function(const char* name) const {
        for (std::size_t i = 0; i < lent_->function_count; ++i) {
            const rbdxx_function_v1& entry = lent_->functions[i];
            if (std::strcmp(entry.name, name) == 0 && entry.pointer != nullptr) {
                return reinterpret_cast<Signature*>(entry.pointer);
            }
        }
        throw MissingFunction(std::string(name) + " is not in the lender's librbd");
    }

private:
    rbdxx_image_v1* lent_;
};

// Returns the lent image as an rbdxx::Image. Its last copy releases the share and does not close
// the handle. Throws as Share does, and LibraryNotFound if this program has loaded another librbd.
Image borrow(rbdxx_image_v1* lent);

// Lends an image. Returns what `__rbdxx_image__()` puts into its capsule. It also owns `keep`. Free
// it with drop(), called once.
rbdxx_image_v1* lend(const Image& image, std::shared_ptr<void> keep = nullptr);
// Frees what lend() returned. Images that were borrowed from it stay open.
void drop(rbdxx_image_v1* lent) noexcept;

}  // namespace capsule
}  // namespace rbdxx
