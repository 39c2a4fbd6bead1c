// The Python Image: an open image, and the Python objects that must live as long as it.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include <rbdxx/image.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

class PyImage {
public:
    PyImage(const IoCtxArgument& ioctx, const OpenOptions& options);
    ~PyImage();
    PyImage(const PyImage&) = delete;
    PyImage& operator=(const PyImage&) = delete;

    const Image& get() const { return image_; }
    operator const Image&() const { return image_; }  // NOLINT: stands for its image
    const Image* operator->() const { return &image_; }

    // Closes, with the GIL released. Over a stock connection that is gone, only lets go.
    void close();
    const OpenOptions& options() const { return options_; }
    const IoCtxArgument& ioctx() const { return ioctx_; }

private:
    IoCtxArgument ioctx_;
    OpenOptions options_;
    Image image_;
};

using ImageClass = py::class_<PyImage>;

}  // namespace rbdxx::python
