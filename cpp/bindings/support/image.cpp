#include "image.hpp"

#include "callbacks.hpp"
#include "foreign.hpp"
#include "gil.hpp"

namespace rbdxx::python {

PyImage::PyImage(const IoCtxArgument& ioctx, const OpenOptions& options)
    : PyImage(Later{}, ioctx, options) {
    owner_ =
        without_gil([&] { return std::make_unique<Image>(Image::open(*ioctx_.ioctx, options_)); });
    image_.store(owner_.get(), std::memory_order_release);
}

PyImage::PyImage(Later, const IoCtxArgument& ioctx, const OpenOptions& options)
    : ioctx_(ioctx), options_(options) {
    options_.place = without_gil([&] { return ioctx_.ioctx->place(); });
}

PyImage::~PyImage() {
    try {
        close(false);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no caller to raise it in
    }
}

bool PyImage::closed() const noexcept {
    const Image* image = image_.load(std::memory_order_acquire);
    return image == nullptr || image->closed();
}

void PyImage::close() {
    close(true);
}

void PyImage::close(bool interruptible) {
    close_asked_.store(true);
    Image* image = image_.load(std::memory_order_acquire);
    if (image == nullptr) {
        return;
    }
    if (!image->closed()) {
        abandon_if_disconnected();
    }
    image->check_closed(Callbacks::close(*image->state(), interruptible));
}

void PyImage::adopt(abi::rbd_image_t raw, std::shared_ptr<ClusterState> cluster) {
    owner_ = std::make_unique<Image>(Image::adopt(std::move(cluster), raw, options_));
    owner_->state()->set_guard(ioctx_.ioctx->state()->guard());
    owner_->set_connection(*ioctx_.ioctx);
    image_.store(owner_.get(), std::memory_order_release);
    if (close_asked_.load()) {
        close();
    }
}

bool PyImage::disconnected() const {
    return ioctx_.connection && !foreign_connected(ioctx_.connection);
}

bool PyImage::abandon_if_disconnected() {
    if (disconnected()) {
        get().state()->abandon();
        return true;
    }
    return false;
}

void PyImage::throw_not_open() const {
    throw ClosedError(options_.describe() + " is not open");
}

std::unique_ptr<PyImage> open_again(const PyImage& image,
                                    const std::optional<std::string>& snapshot) {
    OpenOptions options = image.options();
    without_gil([&] {
        // Another image may have the name by now. The id does not change.
        if (!options.by_id && !image->old_format()) {
            options.name = image->id();
            options.by_id = true;
        }
    });
    options.snapshot = snapshot;
    options.read_only = true;
    return std::make_unique<PyImage>(image.ioctx(), options);
}

OpenOptions open_options(const std::optional<Name>& name, const std::optional<Name>& snapshot,
                         bool read_only, const std::optional<Name>& image_id) {
    if (name.has_value() == image_id.has_value()) {
        throw ArgumentError("exactly one of name and image_id must be given");
    }
    OpenOptions options;
    options.name = name ? name->value : image_id->value;
    options.by_id = !name;
    options.snapshot = string(snapshot);
    if (options.snapshot && options.snapshot->empty()) {
        options.snapshot.reset();  // an empty name means the head, too
    }
    options.read_only = read_only;
    return options;
}

}  // namespace rbdxx::python
