// An open image that one extension module lends to another, as plain C.
//
// In Python, `image.__rbdxx_image__()` gives a PyCapsule whose name is RBDXX_IMAGE_CAPSULE and
// whose pointer is a `rbdxx_image_v1*`. The borrower calls acquire() while it holds the capsule;
// from then on neither the capsule nor the Python Image is needed: the handle stays open until
// release(), even where the Image is closed or collected meanwhile. Each acquire() takes one
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

// A function of librbd's or librados' C API by its name; `pointer` is null where the loaded library
// lacks it.
struct rbdxx_function_v1 {
    const char* name;
    void (*pointer)(void);
};

struct rbdxx_image_v1 {
    // Bytes that the lender knows of; a field beyond them is not there. Later versions add fields
    // at the end.
    size_t size;
    // The rbd_image_t; valid between acquire() and release().
    void* image;
    // 0, or a negative errno: -EBADF where the image is closed, -ESHUTDOWN after a fork().
    int (*acquire)(struct rbdxx_image_v1* self);
    void (*release)(struct rbdxx_image_v1* self);
    // The lender's ABI table: librbd as it was loaded there. Valid for the life of the process.
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
    // Throws ClosedError or ForkedError where the image cannot be had.
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

    // The rbd_image_t.
    void* get() const { return lent_->image; }

    // A C function: share.function<int(void*, uint64_t*)>("rbd_get_size"). Throws MissingFunction.
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

// The lent image as an rbdxx::Image, which never closes the handle but releases its share with its
// last copy. Throws as Share does, and LibraryNotFound where this program has loaded another
// librbd.
Image borrow(rbdxx_image_v1* lent);

// Lends an image: what `__rbdxx_image__()` puts into its capsule. Give it back with drop(), once.
rbdxx_image_v1* lend(const Image& image, std::shared_ptr<void> keep = nullptr);
void drop(rbdxx_image_v1* lent) noexcept;

}  // namespace capsule
}  // namespace rbdxx
