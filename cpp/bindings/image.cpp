#include "image.hpp"

#include "foreign.hpp"
#include "gil.hpp"

namespace rbdxx::python {

PyImage::PyImage(const IoCtxArgument& ioctx, const OpenOptions& options)
    : ioctx_(ioctx),
      options_(options),
      image_(without_gil([&] { return Image::open(*ioctx_.ioctx, options_); })) {}

PyImage::~PyImage() {
    try {
        close();
    } catch (
        const std::exception&) {  // NOLINT(bugprone-empty-catch): a destructor has no one to tell
    }
}

void PyImage::close() {
    if (!image_.closed() && ioctx_.connection && !foreign_connected(ioctx_.connection)) {
        image_.state()->abandon();
    }
    without_gil([&] { image_.close(); });
}

}  // namespace rbdxx::python
