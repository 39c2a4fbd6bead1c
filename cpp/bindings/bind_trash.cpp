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

// Converts a datetime to seconds since the epoch. A naive datetime is in local time, as in
// time.mktime().
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
        "The images in the pool's trash, each a dict as RBD.trash_get() returns it.\n\n"
        "Implements: rbd_trash_list",
        py::arg("ioctx"));
    define(
        rbd, "trash_move",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name, const U64& delay) {
            without_gil([&] { trash::move(ioctx, name, delay); });
        },
        R"(Move an image to the trash, where `trash_restore` finds it again.

Parameters
----------
ioctx
    The pool, with its namespace.
name
    The name of the image.
delay
    How many seconds the trash keeps the image at least.

Raises
------
ImageNotFound
    There is no such image.
ImageBusy
    A client has the image open.

Examples
--------
>>> rbd.RBD().trash_move(ioctx, "disk1", delay=3600)

Implements: rbd_trash_move)",
        py::arg("ioctx"), py::arg("name"), py::arg("delay") = 0);
    define(
        rbd, "trash_get",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id) {
            return entry_dict(without_gil([&] { return trash::get(ioctx, image_id); }));
        },
        R"(Return what the trash knows about an image.

Parameters
----------
ioctx
    The pool, with its namespace.
image_id
    The id of the image.

Returns
-------
A dict of `id`, `name`, `source`, `deletion_time` and `deferment_end_time`. The source says who
moved it there: 'USER', 'MIRRORING', 'MIGRATION', 'REMOVING' or 'USER_PARENT'. The times are
datetimes in UTC, naive before Ceph 20; the trash keeps the image until the second one.

Raises
------
ImageNotFound
    The image is not in the trash.

Implements: rbd_trash_get)",
        py::arg("ioctx"), py::arg("image_id"));
    define(
        rbd, "trash_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("TrashIterator")(ioctx); },
        R"(Iterate over the images in the trash of a pool.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of dicts, as `trash_get` returns them.

Examples
--------
>>> rbd.RBD().trash_move(ioctx, "disk1")
>>> [entry["name"] for entry in rbd.RBD().trash_list(ioctx)]
['disk1']

Implements: rbd_trash_list)",
        py::arg("ioctx"));
    define(
        rbd, "trash_purge",
        [](const Rbd&, const IoCtxArgument& ioctx, const py::object& expire_ts, float threshold,
           const py::object& on_progress, const py::object& timeout) {
            time_t expires = epoch_seconds(expire_ts);
            long_call(on_progress, timeout, trash::purge, ioctx, expires, threshold);
        },
        R"(Remove images in the trash for good.

Parameters
----------
ioctx
    The pool, with its namespace.
expire_ts
    Remove the images that the trash keeps no longer than until then. A naive datetime is in
    local time; None means now.
threshold
    Between 0 and 1: remove the oldest images until the pool is no fuller than that. -1 means
    that `expire_ts` decides.
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
InvalidArgument
    `threshold` is out of range.
TypeError
    `expire_ts` is not a datetime.
Timeout
    `timeout` has passed.

Examples
--------
>>> rbd.RBD().trash_purge(ioctx)

Implements: rbd_trash_purge_with_progress)",
        py::arg("ioctx"), py::arg("expire_ts") = py::none(), py::arg("threshold") = -1,
        py::kw_only(), py::arg("on_progress") = py::none(), py::arg("timeout") = py::none());
    define(
        rbd, "trash_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id, bool force,
           const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, trash::remove, ioctx, image_id, force);
        },
        R"(Remove an image in the trash for good.

Parameters
----------
ioctx
    The pool, with its namespace.
image_id
    The id of the image.
force
    Remove it even if the trash has to keep it still.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    The image is not in the trash.
PermissionError
    The trash has to keep the image still; see `force`.
ImageHasSnapshots
    The image has snapshots.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Examples
--------
>>> rbd.RBD().trash_move(ioctx, "disk1")
>>> for entry in rbd.RBD().trash_list(ioctx):
...     rbd.RBD().trash_remove(ioctx, entry["id"], force=True)

Implements: rbd_trash_remove_with_progress)",
        py::arg("ioctx"), py::arg("image_id"), py::arg("force") = false,
        py::arg("on_progress") = py::none(), py::kw_only(), py::arg("timeout") = py::none());
    define(
        rbd, "trash_restore",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& image_id, const Name& name) {
            without_gil([&] { trash::restore(ioctx, image_id, name); });
        },
        R"(Take an image out of the trash.

Parameters
----------
ioctx
    The pool, with its namespace.
image_id
    The id of the image.
name
    The name that it gets.

Raises
------
ImageNotFound
    The image is not in the trash.
ImageExists
    There is an image `name`.

Examples
--------
>>> rbd.RBD().trash_move(ioctx, "disk1")
>>> [entry] = rbd.RBD().trash_list(ioctx)
>>> rbd.RBD().trash_restore(ioctx, entry["id"], "disk1")

Implements: rbd_trash_restore)",
        py::arg("ioctx"), py::arg("image_id"), py::arg("name"));
}

}  // namespace rbdxx::python
