#include <pybind11/stl.h>

#include <rbdxx/images.hpp>

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
        "The pool's images, each a dict of id and name. Implements: rbd_list2", py::arg("ioctx"));
    rbd.def(py::init<>());
    define(
        rbd, "version",
        [](const Rbd&) {
            Version version = without_gil([] { return library_info().version; });
            return py::make_tuple(version.major, version.minor, version.extra);
        },
        "The version of the loaded librbd, as (major, minor, extra).\n\nImplements: rbd_version");
    define(rbd, "create", create,
           "Creates an image.\n\n"
           "size is in bytes, order the power of two of an object's size, stripe_unit in bytes. "
           "None leaves\n"
           "an option to the cluster, and so does 0 for order, stripe_unit and stripe_count; "
           "features=0\n"
           "means none. Raises ImageExists, InvalidArgument, TypeError, FunctionNotSupported.\n\n"
           "Implements: rbd_create4, rbd_create",
           py::arg("ioctx"), py::arg("name"), py::arg("size"), py::arg("order") = py::none(),
           py::arg("old_format") = false, py::arg("features") = py::none(),
           py::arg("stripe_unit") = py::none(), py::arg("stripe_count") = py::none(),
           py::arg("data_pool") = py::none(), py::kw_only(), py::arg("journal_order") = py::none(),
           py::arg("journal_splay_width") = py::none(), py::arg("journal_pool") = py::none());
    define(
        rbd, "list", [](const Rbd&, const IoCtxArgument& ioctx) { return list_names(ioctx); },
        "The names of the pool's images, as a list of str.\n\nImplements: rbd_list2",
        py::arg("ioctx"));
    define(
        rbd, "list2",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("ImageIterator")(ioctx); },
        "The pool's images, as an iterator of dicts of id and name.\n\nImplements: rbd_list2",
        py::arg("ioctx"));
    define(
        rbd, "remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, images::remove, ioctx, name);
        },
        "Removes an image and its data.\n\n"
        "on_progress(done, total) is called on the way; it may return -rbd.ECANCELED to stop. "
        "Raises\n"
        "ImageNotFound, ImageBusy where it is open, ImageHasSnapshots, OperationCanceled.\n\n"
        "Implements: rbd_remove_with_progress",
        py::arg("ioctx"), py::arg("name"), py::arg("on_progress") = py::none(), py::kw_only(),
        py::arg("timeout") = py::none());
    define(
        rbd, "rename",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& src, const Name& dest) {
            without_gil([&] { images::rename(ioctx, src, dest); });
        },
        "Renames an image within its pool.\n\n"
        "Raises ImageNotFound, ImageExists.\n\nImplements: rbd_rename",
        py::arg("ioctx"), py::arg("src"), py::arg("dest"));
}

}  // namespace rbdxx::python
