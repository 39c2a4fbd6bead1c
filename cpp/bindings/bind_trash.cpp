#include <rbdxx/trash.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"
#include "support/long_call.hpp"
#include "support/time.hpp"

namespace rbdxx::python {

namespace {

struct TrashIterator : Listing {};

py::dict entry_dict(const trash::Entry& entry) {
    py::dict dict;
    dict["id"] = text(entry.id);
    dict["name"] = text(entry.name);
    dict["source"] = text(trash::source_name(entry.source));
    dict["deletion_time"] = utc_datetime(entry.deletion_time);
    dict["deferment_end_time"] = utc_datetime(entry.deferment_end_time);
    return dict;
}

py::list list_trash(const IoCtxArgument& ioctx) {
    auto entries = without_gil([&] { return trash::list(ioctx); });
    py::list dicts;
    for (const auto& entry : entries) {
        dicts.append(entry_dict(entry));
    }
    return dicts;
}

// Seconds since the epoch of a datetime; a naive one is in local time, as time.mktime() takes it.
time_t epoch_seconds(const py::object& moment) {
    if (moment.is_none()) {
        return 0;
    }
    py::object datetime = py::module_::import("datetime").attr("datetime");
    if (!py::isinstance(moment, datetime)) {
        throw py::type_error("expire_ts must be a datetime or None, not " + type_of(moment));
    }
    return static_cast<time_t>(moment.attr("timestamp")().cast<double>());
}

}  // namespace

void bind_trash(py::module_& m, RbdClass& rbd) {
    bind_listing<TrashIterator, const IoCtxArgument&>(
        m, "TrashIterator", list_trash,
        "The images in the pool's trash, each a dict as RBD.trash_get() gives it.\n\n"
        "Implements: rbd_trash_list",
        py::arg("ioctx"));
    define(
        rbd, "trash_move",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name, const U64& delay) {
            without_gil([&] { trash::move(ioctx, name, delay); });
        },
        "Moves an image to the trash, to be kept for `delay` seconds at least.\n\n"
        "Raises ImageNotFound, ImageBusy.\n\nImplements: rbd_trash_move",
        py::arg("ioctx"), py::arg("name"), py::arg("delay") = 0);
    define(
        rbd, "trash_get",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id) {
            return entry_dict(without_gil([&] { return trash::get(ioctx, image_id); }));
        },
        "An image in the trash: a dict of id, name, source (who moved it there: 'USER', "
        "'MIRRORING',\n'MIGRATION', 'REMOVING', 'USER_PARENT'), deletion_time and "
        "deferment_end_time (until when it is\nkept), both datetimes in UTC, naive before Ceph "
        "20.\n\n"
        "Raises ImageNotFound.\n\nImplements: rbd_trash_get",
        py::arg("ioctx"), py::arg("image_id"));
    define(
        rbd, "trash_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("TrashIterator")(ioctx); },
        "The images in the trash, as an iterator of dicts.\n\nImplements: rbd_trash_list",
        py::arg("ioctx"));
    define(
        rbd, "trash_purge",
        [](const Rbd&, const IoCtxArgument& ioctx, const py::object& expire_ts, float threshold,
           const py::object& on_progress, const py::object& timeout) {
            time_t expires = epoch_seconds(expire_ts);
            long_call(on_progress, timeout, trash::purge, ioctx, expires, threshold);
        },
        "Removes images in the trash for good: those kept until `expire_ts` at most (a datetime, "
        "in "
        "local\ntime where it is naive; None: now), or with a threshold of 0 .. 1 the oldest until "
        "the pool is\nno fuller than that.\n\n"
        "on_progress(done, total) cannot stop it. Raises InvalidArgument, TypeError.\n\n"
        "Implements: rbd_trash_purge_with_progress",
        py::arg("ioctx"), py::arg("expire_ts") = py::none(), py::arg("threshold") = -1,
        py::kw_only(), py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        rbd, "trash_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id, bool force,
           const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, trash::remove, ioctx, image_id, force);
        },
        "Removes an image in the trash for good; force: even if it is still to be kept.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop. Raises ImageNotFound,\n"
        "PermissionError where it is still to be kept, ImageHasSnapshots, OperationCanceled.\n\n"
        "Implements: rbd_trash_remove_with_progress",
        py::arg("ioctx"), py::arg("image_id"), py::arg("force") = false,
        py::arg("on_progress") = py::none(), py::kw_only(), py::arg("timeout") = py::none());
    define(
        rbd, "trash_restore",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id, const Name& name) {
            without_gil([&] { trash::restore(ioctx, image_id, name); });
        },
        "Takes an image out of the trash, under a name.\n\n"
        "Raises ImageNotFound, ImageExists.\n\nImplements: rbd_trash_restore",
        py::arg("ioctx"), py::arg("image_id"), py::arg("name"));
}

}  // namespace rbdxx::python
