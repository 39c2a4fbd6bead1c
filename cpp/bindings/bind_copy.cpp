#include <pybind11/stl.h>

#include <rbdxx/copy.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/long_call.hpp"
#include "support/options.hpp"
#include "support/presence.hpp"

namespace rbdxx::python {

namespace {

void copy_image(const PyImage& self, const IoCtxArgument& dest_ioctx, const Name& dest_name,
                const std::optional<U64>& features, const std::optional<U64>& order,
                const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
                const std::optional<Name>& data_pool, const U64& sparse_size,
                const py::object& on_progress, const py::object& timeout) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    const Presence source(self);
    long_call(on_progress, timeout, copy::create, self.get(), dest_ioctx, dest_name, options,
              sparse_size);
    source.check_snapshots();
}

void deep_copy(const PyImage& self, const IoCtxArgument& dest_ioctx, const Name& dest_name,
               const std::optional<U64>& features, const std::optional<U64>& order,
               const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
               const std::optional<Name>& data_pool, const std::optional<U64>& clone_format,
               bool flatten, const py::object& on_progress, const py::object& timeout) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    options.clone_format = clone_format_option(clone_format);
    options.flatten = flatten ? 1 : 0;
    const Presence source(self);
    long_call(on_progress, timeout, copy::deep, self.get(), dest_ioctx, dest_name, options);
    source.check_snapshots();
}

}  // namespace

void bind_copy(ImageClass& image) {
    define(image, "copy", copy_image,
           R"(Copy the image into a new one, without parent and snapshots.

What is copied is the image as it is now, or the snapshot that is set.

Parameters
----------
dest_ioctx
    The pool of the copy, with its namespace.
dest_name
    The name of the copy.
features
    As in `RBD.create`; None means this image's.
order
    As in `RBD.create`; None means this image's.
stripe_unit
    As in `RBD.create`; None means this image's.
stripe_count
    As in `RBD.create`; None means this image's.
data_pool
    As in `RBD.create`; None means this image's.
sparse_size
    Runs of so many zero bytes take no space: a power of two of at least 4096, or 0.
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageExists
    There is an image `dest_name`.
InvalidArgument
    An option makes no sense.
ArgumentOutOfRange
    `order` is outside of what librbd accepts.
OperationNotSupported
    Encryption of this image is loaded.
Timeout
    `timeout` has passed.

Notes
-----
A clone that has an object map is read twice, because librbd leaves out what the clone has from
its parent. It is read once if this `Image` is read-only and not at a snapshot.

Examples
--------
>>> image.copy(ioctx, "disk1-copy")

Implements: rbd_copy_with_progress4)",
           py::arg("dest_ioctx"), py::arg("dest_name"), py::arg("features") = py::none(),
           py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
           py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(), py::kw_only(),
           py::arg("sparse_size") = 0, py::arg("on_progress") = py::none(),
           py::arg("timeout") = py::none());
    define(
        image, "copy_into",
        [](const PyImage& self, const PyImage& destination, const py::object& on_progress,
           const py::object& timeout) {
            const Presence source(self);
            long_call(on_progress, timeout, copy::into, self.get(), destination.get());
            source.check_snapshots();
        },
        R"(Copy the image's data into another open image, over what that holds.

Parameters
----------
destination
    The other image, which must be at least as large.
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    The destination is smaller.
ReadOnlyImage
    The destination is open for reading alone.
OperationNotSupported
    Encryption of this image is loaded.
Timeout
    `timeout` has passed.

Implements: rbd_copy_with_progress2)",
        py::arg("destination"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(image, "deep_copy", deep_copy,
           R"(Copy the image with its snapshots into a new one.

The copy of a clone is a clone of the same parent.

Parameters
----------
dest_ioctx
    The pool of the copy, with its namespace.
dest_name
    The name of the copy.
features
    As in `RBD.create`; None means this image's.
order
    As in `RBD.create`; None means this image's.
stripe_unit
    As in `RBD.create`; None means this image's.
stripe_count
    As in `RBD.create`; None means this image's.
data_pool
    As in `RBD.create`; None means this image's.
clone_format
    As in `RBD.clone`.
flatten
    Make the copy of a clone an image without a parent.
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageExists
    There is an image `dest_name`.
InvalidArgument
    An option makes no sense, or the image is at a snapshot of a group, of mirroring or of the
    trash.
OperationNotSupported
    Encryption of this image is loaded.
Timeout
    `timeout` has passed.

Implements: rbd_deep_copy_with_progress)",
           py::arg("dest_ioctx"), py::arg("dest_name"), py::arg("features") = py::none(),
           py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
           py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(),
           py::arg("clone_format") = py::none(), py::arg("flatten") = false, py::kw_only(),
           py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
}

}  // namespace rbdxx::python
