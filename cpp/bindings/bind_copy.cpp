#include <pybind11/stl.h>

#include <rbdxx/copy.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/long_call.hpp"
#include "support/options.hpp"

namespace rbdxx::python {

namespace {

void copy_image(const PyImage& self, const IoCtxArgument& dest_ioctx, const Name& dest_name,
                const std::optional<U64>& features, const std::optional<U64>& order,
                const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
                const std::optional<Name>& data_pool, const U64& sparse_size,
                const py::object& on_progress, const py::object& timeout) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    long_call(on_progress, timeout, copy::create, self.get(), dest_ioctx, dest_name, options,
              sparse_size);
}

void deep_copy(const PyImage& self, const IoCtxArgument& dest_ioctx, const Name& dest_name,
               const std::optional<U64>& features, const std::optional<U64>& order,
               const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
               const std::optional<Name>& data_pool, const std::optional<U64>& clone_format,
               bool flatten, const py::object& on_progress, const py::object& timeout) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    options.clone_format = clone_format_option(clone_format);
    options.flatten = flatten ? 1 : 0;
    long_call(on_progress, timeout, copy::deep, self.get(), dest_ioctx, dest_name, options);
}

}  // namespace

void bind_copy(ImageClass& image) {
    define(
        image, "copy", copy_image,
        "Copies the image, as it is now or at the snapshot that is set, into a new one without "
        "parent\nor snapshots.\n\n"
        "The options are as in create(); None: as this image's. sparse_size: runs of zeroes of so "
        "many\nbytes (a power of two of 4096 or more, or 0) take no space. on_progress(done, "
        "total) cannot\nstop it.\n\n"
        "A clone that has an object map is read twice, because librbd leaves out what it has from "
        "its parent;\nonce, if this Image is read-only and at the head.\n\n"
        "Raises ImageExists, InvalidArgument, ArgumentOutOfRange, and OperationNotSupported while "
        "encryption\nis loaded.\n\n"
        "Implements: rbd_copy_with_progress4",
        py::arg("dest_ioctx"), py::arg("dest_name"), py::arg("features") = py::none(),
        py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
        py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(), py::kw_only(),
        py::arg("sparse_size") = 0, py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "copy_into",
        [](const PyImage& self, const PyImage& destination, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, copy::into, self.get(), destination.get());
        },
        "Copies the image's data into another open image, which must be as large at least, over "
        "what is there.\n\n"
        "on_progress(done, total) cannot stop it. Raises InvalidArgument where it is smaller, "
        "ReadOnlyImage, and\nOperationNotSupported while encryption of this image is loaded.\n\n"
        "Implements: rbd_copy_with_progress2",
        py::arg("destination"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "deep_copy", deep_copy,
        "Copies the image with its snapshots into a new one, which is a clone of the same parent\n"
        "unless flatten is true.\n\n"
        "The options are as in create() and clone(); None: as this image's. on_progress(done, "
        "total) cannot\nstop it. Raises ImageExists; InvalidArgument, also at a snapshot of a "
        "group, "
        "of mirroring or of the\ntrash; OperationNotSupported while encryption is loaded.\n\n"
        "Implements: rbd_deep_copy_with_progress",
        py::arg("dest_ioctx"), py::arg("dest_name"), py::arg("features") = py::none(),
        py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
        py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(),
        py::arg("clone_format") = py::none(), py::arg("flatten") = false, py::kw_only(),
        py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
}

}  // namespace rbdxx::python
