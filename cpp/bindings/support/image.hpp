// The Python Image: an open image, and the Python objects that must live as long.
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
    // Opens an image.
    PyImage(const IoCtxArgument& ioctx, const OpenOptions& options);
    // Makes an object that is not open yet. Until adopt(), every use fails as on a closed image.
    struct Later {};
    PyImage(Later, const IoCtxArgument& ioctx, const OpenOptions& options);
    ~PyImage();
    PyImage(const PyImage&) = delete;
    PyImage& operator=(const PyImage&) = delete;

    // Throws ClosedError if the image is not open yet.
    const Image& get() const {
        const Image* image = image_.load(std::memory_order_acquire);
        if (image == nullptr) {
            throw_not_open();
        }
        return *image;
    }
    operator const Image&() const { return get(); }  // NOLINT: converts on purpose
    const Image* operator->() const { return &get(); }

    // Returns true if it is closed, and if it is not open yet.
    bool closed() const noexcept;
    // Closes with the GIL released. If its stock connection has ended, only abandons the handle.
    // Raises what a signal handler raises during the wait for calls under way.
    void close();
    // Opens the object with the handle that the C library opened. Closes it at once if close() was
    // called meanwhile.
    void adopt(abi::rbd_image_t raw, std::shared_ptr<ClusterState> cluster);
    // Returns whether it was opened over a stock connection that has ended.
    bool disconnected() const;
    // Abandons the C handle if its stock connection has ended. Returns whether it has.
    bool abandon_if_disconnected();

    const OpenOptions& options() const { return options_; }
    const IoCtxArgument& ioctx() const { return ioctx_; }

private:
    [[noreturn]] void throw_not_open() const;
    void close(bool interruptible);

    IoCtxArgument ioctx_;
    OpenOptions options_;
    // Set once. Any thread may read it while another thread opens the image.
    std::atomic<Image*> image_{nullptr};
    std::unique_ptr<Image> owner_;
    std::atomic<bool> close_asked_{false};
};

using ImageClass = py::class_<PyImage>;

// Returns what to open, from the arguments of Image and aio_open_image. Throws InvalidArgument.
OpenOptions open_options(const std::optional<Name>& name, const std::optional<Name>& snapshot,
                         bool read_only, const std::optional<Name>& image_id);

// Opens the same image again, read-only, at a snapshot or at its head.
std::unique_ptr<PyImage> open_again(const PyImage& image,
                                    const std::optional<std::string>& snapshot);

// Starts to open `target`, which is the Python object `image`. Returns the Completion.
py::object open_later(const py::object& image, PyImage& target, const py::object& oncomplete);

}  // namespace rbdxx::python
