#include <pybind11/stl.h>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/long_call.hpp"
#include "support/time.hpp"

namespace rbdxx::python {

namespace {

// Runs as __init__, not as a factory: the callback of aio_open_image gets the object itself.
void open(py::detail::value_and_holder& place, const IoCtxArgument& ioctx,
          const std::optional<Name>& name, const std::optional<Name>& snapshot, bool read_only,
          const std::optional<Name>& image_id, const py::object& oncomplete) {
    OpenOptions options = open_options(name, snapshot, read_only, image_id);
    if (oncomplete.is_none()) {
        place.value_ptr() = new PyImage(ioctx, options);
        return;
    }
    auto image = std::make_unique<PyImage>(PyImage::Later{}, ioctx, options);
    place.value_ptr() = image.get();
    try {
        auto self = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(place.inst));
        open_later(self, *image, oncomplete);
    } catch (...) {
        place.value_ptr() = nullptr;
        throw;
    }
    image.release();  // NOLINT(bugprone-unused-return-value): the Python object owns it now
}

py::dict stat(const PyImage& self) {
    ImageInfo info = without_gil([&] { return self->info(); });
    py::dict dict;
    dict["size"] = info.size;
    dict["obj_size"] = info.obj_size;
    dict["num_objs"] = info.num_objs;
    dict["order"] = info.order;
    dict["block_name_prefix"] = text(info.block_name_prefix);
    dict["parent_pool"] = info.parent_pool;
    dict["parent_name"] = text(info.parent_name);
    return dict;
}

std::string representation(const PyImage& self) {
    std::string shown = self.options().describe();
    if (self.closed()) {
        shown += " (closed)";
    }
    return shown;
}

// Defines a method that asks the image for one value.
template <class Getter>
void define_getter(ImageClass& image, const char* name, Getter getter, const char* doc) {
    define(
        image, name,
        [getter](const PyImage& self) {
            return to_python(without_gil([&] { return (self.get().*getter)(); }));
        },
        doc);
}

}  // namespace

void bind_image(ImageClass& image) {
    define_constructor(image, open,
                       R"(Open an image, by its name or by its id.

Parameters
----------
ioctx
    The pool, with its namespace.
name
    The name of the image; or give `image_id`.
snapshot
    The name of a snapshot to read from; None means the image itself.
read_only
    Open it for reading alone.
image_id
    The id of the image, in place of its name.
_oncomplete
    For `RBD.aio_open_image`, which opens without waiting.

Raises
------
ImageNotFound
    There is no such image or snapshot.
InvalidArgument
    There is both a `name` and an `image_id`, or neither.
TypeError
    An argument has the wrong type.

Implements: rbd_open, rbd_open_read_only, rbd_open_by_id, rbd_open_by_id_read_only)",
                       py::arg("ioctx"), py::arg("name") = py::none(),
                       py::arg("snapshot") = py::none(), py::arg("read_only") = false,
                       py::arg("image_id") = py::none(), py::arg("_oncomplete") = py::none());
    define(
        image, "close", [](PyImage& self) { self.close(); },
        R"(Close the image. Closing it twice does nothing.

Raises
------
OSError
    Data that was written cannot be saved. The image is closed all the same.

Notes
-----
The call waits until calls in other threads have ended. Later calls raise `InvalidArgument`.

Implements: rbd_close)");
    define_context<PyImage>(
        image, [](PyImage& self) { self.close(); }, "The image itself.",
        "Close the image. An exception of the body is raised further.");
    define(
        image, "require_not_closed",
        [](const PyImage& self) {
            if (self.closed()) {
                throw ClosedError(self.options().describe() + " is closed");
            }
        },
        R"(Raise an exception if the image is closed.

Raises
------
InvalidArgument
    The image is closed.)");
    image.def_property_readonly(
        "closed", [](const PyImage& self) { return self.closed(); },
        "Whether the image is closed.");
    image.def_property_readonly(
        "name",
        [](const PyImage& self) -> py::object {
            return self.options().by_id ? py::object(py::none()) : text(self.options().name);
        },
        "The name that the image was opened by; None if it was opened by id.");
    define(
        image, "__str__", [](const PyImage& self) { return text(representation(self)); },
        "A readable text.");
    define(
        image, "__repr__",
        [](const PyImage& self) { return text("<rbd.Image " + representation(self) + ">"); },
        "A readable text.");

    define(image, "stat", stat,
           R"(Return what librbd knows about the image's size and layout.

Returns
-------
A dict of `size` (bytes), `obj_size` (bytes), `num_objs`, `order`, `block_name_prefix`,
`parent_pool` and `parent_name`. The last two are always -1 and '' since Ceph has namespaces;
see `get_parent_image_spec`.

Examples
--------
>>> image.stat()["obj_size"]
4194304

Implements: rbd_stat)");
    define_getter(image, "get_name", &Image::name, R"(Return the image's name.

Returns
-------
The name.

Implements: rbd_get_name)");
    define_getter(image, "id", &Image::id, R"(Return the image's id.

Returns
-------
The id. It stays the same when the image is renamed.

Implements: rbd_get_id)");
    define_getter(image, "block_name_prefix", &Image::block_name_prefix,
                  R"(Return what the names of the image's RADOS objects begin with.

Returns
-------
The prefix, such as 'rbd_data.1a2b3c'.

Implements: rbd_get_block_name_prefix)");
    define_getter(image, "data_pool_id", &Image::data_pool_id,
                  R"(Return the id of the pool that holds the data.

Returns
-------
The id.

Implements: rbd_get_data_pool_id)");
    define_getter(image, "features", &Image::features,
                  R"(Return the image's features.

Returns
-------
The sum of `RBD_FEATURE_*` bits.

Examples
--------
>>> bool(image.features() & rbd.RBD_FEATURE_OBJECT_MAP)
True

Implements: rbd_get_features)");
    define_getter(
        image, "op_features", &Image::op_features,
        R"(Return the features that past operations have set, such as that there are clones of format 2.

Returns
-------
The sum of `RBD_OPERATION_FEATURE_*` bits.

Implements: rbd_get_op_features)");
    define_getter(image, "flags", &Image::flags,
                  R"(Return the image's flags, such as an invalid object map.

Returns
-------
The sum of `RBD_FLAG_*` bits.

Implements: rbd_get_flags)");
    define_getter(image, "old_format", &Image::old_format,
                  R"(Return whether the image is of the old format 1.

Returns
-------
True if it is.

Implements: rbd_get_old_format)");
    define_getter(image, "overlap", &Image::overlap,
                  R"(Return how much of the image its parent covers.

Returns
-------
Bytes; 0 without a parent.

Implements: rbd_get_overlap)");
    define_getter(image, "stripe_unit", &Image::stripe_unit,
                  R"(Return the stripe unit.

Returns
-------
Bytes.

Implements: rbd_get_stripe_unit)");
    define_getter(image, "stripe_count", &Image::stripe_count,
                  R"(Return over how many objects a stripe goes.

Returns
-------
The number of objects.

Implements: rbd_get_stripe_count)");
    define_getter(image, "create_timestamp", &Image::create_timestamp,
                  R"(Return when the image was created.

Returns
-------
A datetime in UTC, naive before Ceph 20.

Implements: rbd_get_create_timestamp)");
    define_getter(image, "access_timestamp", &Image::access_timestamp,
                  R"(Return when the image was last read.

librbd notes it at most once in `rbd_atime_update_interval` seconds.

Returns
-------
A datetime in UTC, naive before Ceph 20.

Implements: rbd_get_access_timestamp)");
    define_getter(image, "modify_timestamp", &Image::modify_timestamp,
                  R"(Return when the image was last written.

Returns
-------
A datetime in UTC, naive before Ceph 20.

Implements: rbd_get_modify_timestamp)");

    define(
        image, "resize",
        [](const PyImage& self, const U64& size, bool allow_shrink, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, &Image::resize, self.get(), size, allow_shrink);
        },
        R"(Change the size of the image.

Shrinking discards what is beyond the new end. While encryption is loaded, both `size` and
`Image.size` leave its header out.

Parameters
----------
size
    The new size in bytes.
allow_shrink
    False refuses to make the image smaller.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop a
    shrink.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    The image would shrink, and `allow_shrink` is false.
ReadOnlyImage
    The image is open for reading alone.
OperationNotSupported
    librbd would show wrong data later: a shrink of an image whose migration is not executed, or
    growth of a clone whose encryption is loaded, with a librbd before Ceph 18.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Examples
--------
>>> image.resize(image.size() + (1 << 20))

Implements: rbd_resize2)",
        py::arg("size"), py::arg("allow_shrink") = true, py::kw_only(),
        py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        image, "flatten",
        [](const PyImage& self, const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, &Image::flatten, self.get());
        },
        R"(Copy the parent's data into the clone, which then has no parent.

Parameters
----------
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop: the
    parent is still there, and what was copied stays.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    The image has no parent.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Examples
--------
>>> with rbd.Image(ioctx, "vm1") as clone:
...     clone.flatten()

Implements: rbd_flatten_with_progress)",
        py::arg("on_progress") = py::none(), py::kw_only(), py::arg("timeout") = py::none());
    define(
        image, "sparsify",
        [](const PyImage& self, const U64& sparse_size, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, &Image::sparsify, self.get(), sparse_size);
        },
        R"(Free the space of runs of zeroes.

Parameters
----------
sparse_size
    The length of a run in bytes: a power of two, at least 4096.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    `sparse_size` is not such a number.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Implements: rbd_sparsify_with_progress)",
        py::arg("sparse_size"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "rebuild_object_map",
        [](const PyImage& self, const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, &Image::rebuild_object_map, self.get());
        },
        R"(Build the object map anew, if a flag says that it is invalid.

Parameters
----------
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop; the
    flag then stays.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    The image has no object map.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Implements: rbd_rebuild_object_map)",
        py::kw_only(), py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        image, "update_features",
        [](const PyImage& self, const U64& features, bool enabled) {
            without_gil([&] { self->update_features(features, enabled); });
        },
        R"(Enable or disable features of the image.

Parameters
----------
features
    The sum of `RBD_FEATURE_*` bits.
enabled
    True to enable them, False to disable them.

Raises
------
InvalidArgument
    A feature cannot be changed, or needs another one.
ReadOnlyImage
    The image is open for reading alone.

Examples
--------
>>> image.update_features(rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF, False)

Implements: rbd_update_features)",
        py::arg("features"), py::arg("enabled"));
    define(
        image, "flush", [](const PyImage& self) { without_gil([&] { self->flush(); }); },
        R"(Wait until every write that has returned is safe in the cluster.

Notes
-----
librbd's cache writes through until the first flush, and holds writes back afterwards.

Examples
--------
>>> image.write(b"hello", 0)
5
>>> image.flush()

Implements: rbd_flush)");
    define(
        image, "invalidate_cache",
        [](const PyImage& self) { without_gil([&] { self->invalidate_cache(); }); },
        R"(Drop what librbd has cached of the image.

Implements: rbd_invalidate_cache)");
}

}  // namespace rbdxx::python
