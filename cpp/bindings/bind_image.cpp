#include <pybind11/stl.h>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/long_call.hpp"
#include "support/time.hpp"

namespace rbdxx::python {

namespace {

// Runs as __init__, not as a factory: the callback of an opening gets the object itself.
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
    image.release();  // NOLINT(bugprone-unused-return-value): the Python object has it
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

// A method that asks the image for one value.
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
    define_constructor(
        image, open,
        "Opens an image of the ioctx's pool and namespace, by name or by image_id.\n\n"
        "snapshot: the name of a snapshot to read from. _oncomplete: opens asynchronously, as\n"
        "RBD.aio_open_image does. Raises ImageNotFound, TypeError, InvalidArgument.\n\n"
        "Implements: rbd_open, rbd_open_read_only, rbd_open_by_id, rbd_open_by_id_read_only",
        py::arg("ioctx"), py::arg("name") = py::none(), py::arg("snapshot") = py::none(),
        py::arg("read_only") = false, py::arg("image_id") = py::none(),
        py::arg("_oncomplete") = py::none());
    define(
        image, "close", [](PyImage& self) { self.close(); },
        "Closes the image; every later call raises InvalidArgument. Closing twice is no error.\n\n"
        "Waits for calls under way in other threads.\n\nImplements: rbd_close");
    define_context<PyImage>(
        image, [](PyImage& self) { self.close(); }, "The image itself.",
        "Closes the image; never hides the body's exception.");
    define(
        image, "require_not_closed",
        [](const PyImage& self) {
            if (self.closed()) {
                throw ClosedError(self.options().describe() + " is closed");
            }
        },
        "Raises InvalidArgument where the image is closed.");
    image.def_property_readonly(
        "closed", [](const PyImage& self) { return self.closed(); },
        "Whether the image is closed.");
    image.def_property_readonly(
        "name",
        [](const PyImage& self) -> py::object {
            return self.options().by_id ? py::object(py::none()) : text(self.options().name);
        },
        "The name the image was opened by; None where it was opened by id.");
    define(
        image, "__str__", [](const PyImage& self) { return text(representation(self)); },
        "A readable text.");
    define(
        image, "__repr__",
        [](const PyImage& self) { return text("<rbd.Image " + representation(self) + ">"); },
        "A readable text.");

    define(image, "stat", stat,
           "A dict of size, obj_size (bytes), num_objs, order, block_name_prefix, parent_pool,\n"
           "parent_name; the last two tell nothing (-1 and '') since Ceph has namespaces.\n\n"
           "Implements: rbd_stat");
    define_getter(image, "get_name", &Image::name, "The image's name.\n\nImplements: rbd_get_name");
    define_getter(image, "id", &Image::id, "The image's id.\n\nImplements: rbd_get_id");
    define_getter(image, "block_name_prefix", &Image::block_name_prefix,
                  "What the names of the image's RADOS objects begin with.\n\n"
                  "Implements: rbd_get_block_name_prefix");
    define_getter(image, "data_pool_id", &Image::data_pool_id,
                  "The id of the pool that holds the data.\n\nImplements: rbd_get_data_pool_id");
    define_getter(image, "features", &Image::features,
                  "The RBD_FEATURE_* bits.\n\nImplements: rbd_get_features");
    define_getter(image, "op_features", &Image::op_features,
                  "The RBD_OPERATION_FEATURE_* bits.\n\nImplements: rbd_get_op_features");
    define_getter(image, "flags", &Image::flags,
                  "The RBD_FLAG_* bits.\n\nImplements: rbd_get_flags");
    define_getter(image, "old_format", &Image::old_format,
                  "Whether the image is of the old format 1.\n\nImplements: rbd_get_old_format");
    define_getter(image, "overlap", &Image::overlap,
                  "How many bytes are shared with the parent; 0 without one.\n\n"
                  "Implements: rbd_get_overlap");
    define_getter(image, "stripe_unit", &Image::stripe_unit,
                  "The stripe unit in bytes.\n\nImplements: rbd_get_stripe_unit");
    define_getter(image, "stripe_count", &Image::stripe_count,
                  "Over how many objects stripes go.\n\nImplements: rbd_get_stripe_count");
    define_getter(image, "create_timestamp", &Image::create_timestamp,
                  "When the image was made, as a datetime in UTC; naive before Ceph 20.\n\n"
                  "Implements: rbd_get_create_timestamp");
    define_getter(image, "access_timestamp", &Image::access_timestamp,
                  "When the image was last read, as a datetime in UTC; naive before Ceph 20.\n\n"
                  "Implements: rbd_get_access_timestamp");
    define_getter(image, "modify_timestamp", &Image::modify_timestamp,
                  "When the image was last written, as a datetime in UTC; naive before Ceph 20.\n\n"
                  "Implements: rbd_get_modify_timestamp");

    define(
        image, "resize",
        [](const PyImage& self, const U64& size, bool allow_shrink, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, &Image::resize, self.get(), size, allow_shrink);
        },
        "Changes the size to `size` bytes; shrinking discards what is beyond.\n\n"
        "While encryption is loaded, both `size` and size() leave its header out.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop a shrink. Raises\n"
        "InvalidArgument for a shrink without allow_shrink, OperationCanceled.\n\n"
        "Implements: rbd_resize2",
        py::arg("size"), py::arg("allow_shrink") = true, py::kw_only(),
        py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        image, "flatten",
        [](const PyImage& self, const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, &Image::flatten, self.get());
        },
        "Copies the parent's data into the clone, which then has no parent.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop: the parent is still there, "
        "and\n"
        "what was copied stays. Raises InvalidArgument where there is no parent, "
        "OperationCanceled.\n\n"
        "Implements: rbd_flatten_with_progress",
        py::arg("on_progress") = py::none(), py::kw_only(), py::arg("timeout") = py::none());
    define(
        image, "sparsify",
        [](const PyImage& self, const U64& sparse_size, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, &Image::sparsify, self.get(), sparse_size);
        },
        "Gives the space of runs of zeroes back; sparse_size in bytes, a power of two of 4096 or "
        "more.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop. Raises InvalidArgument,\n"
        "OperationCanceled.\n\n"
        "Implements: rbd_sparsify_with_progress",
        py::arg("sparse_size"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "rebuild_object_map",
        [](const PyImage& self, const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, &Image::rebuild_object_map, self.get());
        },
        "Makes the object map anew, where a flag says that it is invalid.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop: the flag stays. Raises\n"
        "InvalidArgument where there is no object map, OperationCanceled.\n\n"
        "Implements: rbd_rebuild_object_map",
        py::kw_only(), py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        image, "update_features",
        [](const PyImage& self, const U64& features, bool enabled) {
            without_gil([&] { self->update_features(features, enabled); });
        },
        "Turns RBD_FEATURE_* bits on or off.\n\nImplements: rbd_update_features",
        py::arg("features"), py::arg("enabled"));
    define(
        image, "flush", [](const PyImage& self) { without_gil([&] { self->flush(); }); },
        "Returns when every write that has returned is safe in the cluster.\n\nImplements: "
        "rbd_flush");
    define(
        image, "invalidate_cache",
        [](const PyImage& self) { without_gil([&] { self->invalidate_cache(); }); },
        "Drops what librbd has cached of the image.\n\nImplements: rbd_invalidate_cache");
}

}  // namespace rbdxx::python
