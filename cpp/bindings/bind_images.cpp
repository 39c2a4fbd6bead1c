#include <pybind11/stl.h>

#include <rbdxx/images.hpp>
#include <utility>

#include "support/arguments.hpp"
#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"
#include "support/long_call.hpp"
#include "support/options.hpp"

namespace rbdxx::python {

namespace {

py::list list_names(const IoCtxArgument& ioctx) {
    auto entries = without_gil([&] { return images::list(ioctx); });
    py::list names;
    for (const auto& entry : entries) {
        names.append(text(entry.name));
    }
    return names;
}

struct ImageIterator : Listing {};

py::list list_entries(const IoCtxArgument& ioctx) {
    auto entries = without_gil([&] { return images::list(ioctx); });
    py::list dicts;
    for (const auto& entry : entries) {
        py::dict dict;
        dict["id"] = text(entry.id);
        dict["name"] = text(entry.name);
        dicts.append(dict);
    }
    return dicts;
}

void create(const Rbd&, const IoCtxArgument& ioctx, const Name& name, const U64& size,
            const std::optional<U64>& order, bool old_format, const std::optional<U64>& features,
            const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
            const std::optional<Name>& data_pool, const std::optional<U64>& journal_order,
            const std::optional<U64>& journal_splay_width,
            const std::optional<Name>& journal_pool) {
    ImageOptions options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    options.journal_order = number(journal_order);
    options.journal_splay_width = number(journal_splay_width);
    options.journal_pool = string(journal_pool);
    if (old_format) {
        if ((features && *features != 0) || (stripe_unit && *stripe_unit != 0) ||
            (stripe_count && *stripe_count != 0) || data_pool) {
            throw ArgumentError(
                "an image of format 1 has no features, no striping and no data pool; leave them "
                "out or "
                "set old_format=False");
        }
        without_gil([&] {
            images::create_old(ioctx, name, size, order ? static_cast<int>(order->value) : 0);
        });
        return;
    }
    options.format = 2;
    without_gil([&] { images::create(ioctx, name, size, options); });
}

}  // namespace

void bind_images(py::module_& m, RbdClass& rbd) {
    bind_listing<ImageIterator, const IoCtxArgument&>(
        m, "ImageIterator", list_entries,
        "The pool's images, each a dict of id and name.\n\nImplements: rbd_list2",
        py::arg("ioctx"));
    rbd.def(py::init<>());
    // The state is a tuple, because pickle's oldest protocols ignore a state that is false.
    rbd.def(py::pickle(
        [](const py::object& self) { return py::make_tuple(self.attr("__dict__")); },
        [](const py::tuple& state) { return std::make_pair(Rbd{}, state[0].cast<py::dict>()); }));
    define(
        rbd, "version",
        [](const Rbd&) {
            Version version = without_gil([] { return library_info().version; });
            return py::make_tuple(version.major, version.minor, version.extra);
        },
        R"(Return the version of the loaded librbd.

Returns
-------
`(major, minor, extra)`, such as `(1, 16, 0)`.

Examples
--------
>>> rbd.RBD().version() >= (1, 12, 0)
True

Implements: rbd_version)");
    define(rbd, "create", create,
           R"(Create an image.

Its space is taken when it is written: an empty image of any size takes next to none.

Parameters
----------
ioctx
    The pool, with its namespace: an `rbd.rados.Ioctx` or the stock module's.
name
    The name of the new image.
size
    The size in bytes.
order
    The size of an object, as a power of two: 22 means 4 MiB. None and 0 leave it to the
    cluster.
old_format
    Create an image of the old format 1. Current releases of Ceph refuse that.
features
    The sum of `RBD_FEATURE_*` bits. 0 means none; None leaves them to the cluster.
stripe_unit
    How many bytes go into one object before the next one. None and 0 leave it to the cluster.
stripe_count
    Over how many objects a stripe goes. None and 0 leave it to the cluster.
data_pool
    The name of the pool for the data, such as an erasure-coded one. None means the pool of
    `ioctx`.
journal_order
    The size of a journal object, as a power of two.
journal_splay_width
    Over how many objects the journal goes.
journal_pool
    The name of the pool for the journal.

Raises
------
ImageExists
    There is an image with this name.
InvalidArgument
    The options do not fit together, such as a `stripe_unit` that does not divide an object.
FunctionNotSupported
    The loaded librbd cannot create such an image.
TypeError
    `ioctx` is not an I/O context, or `name` is not a name.

Examples
--------
>>> rbd.RBD().create(ioctx, "disk1", 10 << 30)  # 10 GiB
>>> rbd.RBD().create(ioctx, "disk2", 1 << 30, features=rbd.RBD_FEATURE_LAYERING)

Implements: rbd_create4, rbd_create)",
           py::arg("ioctx"), py::arg("name"), py::arg("size"), py::arg("order") = py::none(),
           py::arg("old_format") = false, py::arg("features") = py::none(),
           py::arg("stripe_unit") = py::none(), py::arg("stripe_count") = py::none(),
           py::arg("data_pool") = py::none(), py::kw_only(), py::arg("journal_order") = py::none(),
           py::arg("journal_splay_width") = py::none(), py::arg("journal_pool") = py::none());
    define(
        rbd, "list", [](const Rbd&, const IoCtxArgument& ioctx) { return list_names(ioctx); },
        R"(Return the names of the images in a pool.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
The names, in the order of librbd. Images in the trash are not among them.

Examples
--------
>>> rbd.RBD().list(ioctx)
['disk1']

Implements: rbd_list2)",
        py::arg("ioctx"));
    define(
        rbd, "list2",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("ImageIterator")(ioctx); },
        R"(Iterate over the images of a pool with their ids.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of dicts of `id` and `name`.

Examples
--------
>>> [entry["name"] for entry in rbd.RBD().list2(ioctx)]
['disk1']

Implements: rbd_list2)",
        py::arg("ioctx"));
    define(
        rbd, "remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, images::remove, ioctx, name);
        },
        R"(Remove an image and its data.

Parameters
----------
ioctx
    The pool, with its namespace.
name
    The name of the image.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such image.
ImageBusy
    A client has the image open.
ImageMemberOfGroup
    The image is in a group.
ImageHasSnapshots
    The image has snapshots; remove them first.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Examples
--------
>>> rbd.RBD().remove(ioctx, "disk1")

Implements: rbd_remove_with_progress)",
        py::arg("ioctx"), py::arg("name"), py::arg("on_progress") = py::none(), py::kw_only(),
        py::arg("timeout") = py::none());
    define(
        rbd, "rename",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& src, const Name& dest) {
            without_gil([&] { images::rename(ioctx, src, dest); });
        },
        R"(Rename an image within its pool and namespace.

Parameters
----------
ioctx
    The pool, with its namespace.
src
    The present name.
dest
    The new name.

Raises
------
ImageNotFound
    There is no image `src`.
ImageExists
    There is an image `dest`.

Examples
--------
>>> rbd.RBD().rename(ioctx, "disk1", "disk1-old")

Implements: rbd_rename)",
        py::arg("ioctx"), py::arg("src"), py::arg("dest"));
}

}  // namespace rbdxx::python
