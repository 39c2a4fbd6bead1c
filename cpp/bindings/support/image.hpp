// The Python Image: an open image, and the Python objects that must live as long as it.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include <rbdxx/image.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

class PyImage {
public:
    // Opens.
    PyImage(const IoCtxArgument& ioctx, const OpenOptions& options);
    // Not yet open: every use is that of a closed image, until adopt().
    struct Later {};
    PyImage(Later, const IoCtxArgument& ioctx, const OpenOptions& options);
    ~PyImage();
    PyImage(const PyImage&) = delete;
    PyImage& operator=(const PyImage&) = delete;

    // Throws ClosedError while it is not yet open.
    const Image& get() const {
        const Image* image = image_.load(std::memory_order_acquire);
        if (image == nullptr) {
            throw_not_open();
        }
        return *image;
    }
    operator const Image&() const { return get(); }  // NOLINT: stands for its image
    const Image* operator->() const { return &get(); }

    // Closed, or not yet open.
    bool closed() const noexcept;
    // Closes, with the GIL released. Over a stock connection that is gone, only lets go. Raises
    // what a signal handler raises while it waits for calls under way.
    void close();
    // Becomes open with what the C library opened; closed at once if close() was called meanwhile.
    void adopt(abi::rbd_image_t raw, std::shared_ptr<ClusterState> cluster);
    // Whether it was opened over a stock connection that is gone.
    bool disconnected() const;
    // Lets go of the C handle where the stock connection under it is gone. Whether it is.
    bool abandon_if_disconnected();

    const OpenOptions& options() const { return options_; }
    const IoCtxArgument& ioctx() const { return ioctx_; }

private:
    [[noreturn]] void throw_not_open() const;
    void close(bool interruptible);

    IoCtxArgument ioctx_;
    OpenOptions options_;
    // Set once. Read by any thread, while the thread that opens may be another.
    std::atomic<Image*> image_{nullptr};
    std::unique_ptr<Image> owner_;
    std::atomic<bool> close_asked_{false};
};

using ImageClass = py::class_<PyImage>;

// What to open, of the arguments of Image and aio_open_image; throws InvalidArgument.
OpenOptions open_options(const std::optional<Name>& name, const std::optional<Name>& snapshot,
                         bool read_only, const std::optional<Name>& image_id);

// Starts to open `target`, which is the Python object `image`; gives the Completion.
py::object open_later(const py::object& image, PyImage& target, const py::object& oncomplete);

}  // namespace rbdxx::python
