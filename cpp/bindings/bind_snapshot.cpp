#include <pybind11/stl.h>

#include <cerrno>
#include <utility>
#include <vector>

#include <rbdxx/constants.hpp>
#include <rbdxx/snapshot.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"
#include "support/long_call.hpp"
#include "support/snapshot_namespace.hpp"
#include "support/time.hpp"

namespace rbdxx::python {

namespace {

struct SnapIterator : Listing {};

// What librbd reports about one snapshot. Of the three optional members, the one that belongs to
// the type is set, if librbd returns it.
struct Entry {
    snapshot::Snapshot snapshot;
    unsigned type = constants::SNAP_NAMESPACE_TYPE_USER;
    std::optional<snapshot_namespace::Group> group;
    std::optional<snapshot_namespace::Trash> trash;
    std::optional<snapshot_namespace::Mirror> mirror;
};

template <class Namespace>
void ask(std::optional<Namespace>& answer, Namespace (*get)(const Image&, uint64_t),
         const Image& image, uint64_t id) {
    try {
        answer = get(image, id);
    } catch (const ClosedError&) {
        throw;
    } catch (const Error&) {
        answer.reset();
    }
}

std::vector<Entry> collect(const Image& image) {
    std::vector<Entry> entries;
    for (auto& found : snapshot::list(image)) {
        Entry entry;
        try {
            entry.type = snapshot_namespace::type(image, found.id);
        } catch (const Error& error) {
            if (error.code() != ENOENT) {
                throw;
            }
            continue;  // the snapshot was removed meanwhile
        }
        if (entry.type == constants::SNAP_NAMESPACE_TYPE_GROUP) {
            ask(entry.group, snapshot_namespace::group, image, found.id);
        } else if (entry.type == constants::SNAP_NAMESPACE_TYPE_TRASH) {
            ask(entry.trash, snapshot_namespace::trash, image, found.id);
        } else if (entry.type == constants::SNAP_NAMESPACE_TYPE_MIRROR) {
            ask(entry.mirror, snapshot_namespace::mirror, image, found.id);
        }
        entry.snapshot = std::move(found);
        entries.push_back(std::move(entry));
    }
    return entries;
}

template <class Namespace>
py::object dict_or_none(const std::optional<Namespace>& found) {
    return found ? py::object(namespace_dict(*found)) : py::object(py::none());
}

py::list list_snapshots(const PyImage& image) {
    auto entries = without_gil([&] { return collect(image); });
    py::list dicts;
    for (const auto& entry : entries) {
        py::dict dict;
        dict["id"] = entry.snapshot.id;
        dict["size"] = entry.snapshot.size;
        dict["name"] = text(entry.snapshot.name);
        dict["namespace"] = entry.type;
        if (entry.type == constants::SNAP_NAMESPACE_TYPE_GROUP) {
            dict["group"] = dict_or_none(entry.group);
        } else if (entry.type == constants::SNAP_NAMESPACE_TYPE_TRASH) {
            dict["trash"] = dict_or_none(entry.trash);
        } else if (entry.type == constants::SNAP_NAMESPACE_TYPE_MIRROR) {
            dict["mirror"] = dict_or_none(entry.mirror);
        }
        dicts.append(dict);
    }
    return dicts;
}

// Defines a method that makes one change to a snapshot by its name.
template <class Call>
void define_by_name(ImageClass& image, const char* name, Call call, const char* doc) {
    define(
        image, name,
        [call](const PyImage& self, const Name& snapshot) {
            return without_gil([&] { return call(self.get(), snapshot.value); });
        },
        doc, py::arg("name"));
}

void bind_queries(ImageClass& image) {
    define_gated(
        image, "rbd_snap_exists", "snap_exists",
        [](const PyImage& self, const Name& name) {
            return without_gil([&] { return snapshot::exists(self, name); });
        },
        R"(Return whether the image has a snapshot with this name.

Parameters
----------
name
    The name.

Returns
-------
True if it has.

Implements: rbd_snap_exists)",
        py::arg("name"));
    define_gated(
        image, "rbd_snap_get_id", "snap_get_id",
        [](const PyImage& self, const Name& snap_name) {
            return without_gil([&] { return snapshot::id(self, snap_name); });
        },
        R"(Return the id of a snapshot.

Parameters
----------
snap_name
    The name of the snapshot.

Returns
-------
The id.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_get_id)",
        py::arg("snap_name"));
    define_gated(
        image, "rbd_snap_get_name", "snap_get_name",
        [](const PyImage& self, const U64& snap_id) {
            return text(without_gil([&] { return snapshot::name(self, snap_id); }));
        },
        R"(Return the name of a snapshot.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
The name.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_get_name)",
        py::arg("snap_id"));
    define(
        image, "get_snap_timestamp",
        [](const PyImage& self, const U64& snap_id) {
            return to_python(without_gil([&] { return snapshot::timestamp(self, snap_id); }));
        },
        R"(Return when a snapshot was taken.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
A datetime in UTC, naive before Ceph 20.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_get_timestamp)",
        py::arg("snap_id"));
    define(
        image, "get_snap_limit",
        [](const PyImage& self) { return without_gil([&] { return snapshot::limit(self); }); },
        R"(Return how many snapshots the image may have.

Returns
-------
The number; 2**64-1 if there is no limit.

Implements: rbd_snap_get_limit)");
    define(
        image, "set_snap_limit",
        [](const PyImage& self, const U64& limit) {
            without_gil([&] { snapshot::set_limit(self, limit); });
            return 0;
        },
        R"(Limit how many snapshots the image may have. One more raises `DiskQuotaExceeded`.

Parameters
----------
limit
    The number.

Returns
-------
0.

Raises
------
OSError
    The image has more snapshots already; the errno is ERANGE.

Implements: rbd_snap_set_limit)",
        py::arg("limit"));
    define(
        image, "remove_snap_limit",
        [](const PyImage& self) {
            without_gil([&] { snapshot::set_limit(self, UINT64_MAX); });
            return 0;
        },
        R"(Let the image have any number of snapshots.

Returns
-------
0.

Implements: rbd_snap_set_limit)");
}

}  // namespace

void bind_snapshot(py::module_& m, ImageClass& image) {
    auto iterator = bind_listing<SnapIterator, const PyImage&>(
        m, "SnapIterator", list_snapshots,
        "The image's snapshots, each a dict of id, size "
        "(bytes), name and namespace\n"
        "(RBD_SNAP_NAMESPACE_TYPE_*), with group, trash or mirror for the types "
        "that have such a dict.\n\nImplements: rbd_snap_list",
        py::arg("image"));
    iterator.def_property_readonly(
        "num_snaps", [](const SnapIterator& self) { return self.items.size(); },
        "How many snapshots there are.");

    define(
        image, "list_snaps", [m](const py::object& self) { return m.attr("SnapIterator")(self); },
        R"(Iterate over the image's snapshots.

Returns
-------
An iterator of dicts of `id`, `size` (bytes), `name` and `namespace`
(`RBD_SNAP_NAMESPACE_TYPE_*`), and of `group`, `trash` or `mirror` for the types that have such
a dict.

Examples
--------
>>> [snapshot["name"] for snapshot in image.list_snaps()]
['monday']

Implements: rbd_snap_list)");
    define(
        image, "create_snap",
        [](const PyImage& self, const Name& name, const Flags& flags, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::create, self.get(), name,
                      static_cast<uint32_t>(flags.value));
        },
        R"(Take a snapshot of the image.

Parameters
----------
name
    The name of the snapshot.
flags
    The sum of `RBD_SNAP_CREATE_*` bits.
on_progress
    `on_progress(done, total)` is called before each attempt to quiesce the image's other users.
    The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageExists
    There is a snapshot with this name.
ReadOnlyImage
    The image is open for reading alone.
DiskQuotaExceeded
    The image has as many snapshots as `set_snap_limit` allows.
FunctionNotSupported
    `flags` is not 0 and librbd is of Ceph 14.
Timeout
    `timeout` has passed.

Examples
--------
>>> image.create_snap("monday")

Implements: rbd_snap_create2, rbd_snap_create)",
        py::arg("name"), py::arg("flags") = 0, py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define_by_name(image, "remove_snap", snapshot::remove,
                   R"(Remove a snapshot.

Parameters
----------
name
    The name of the snapshot.

Raises
------
ImageNotFound
    There is no such snapshot.
ImageBusy
    The snapshot is protected; see `unprotect_snap`.

Examples
--------
>>> image.remove_snap("monday")

Implements: rbd_snap_remove)");
    define(
        image, "remove_snap2",
        [](const PyImage& self, const Name& name, const Flags& flags, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::remove_with_flags, self.get(), name,
                      static_cast<uint32_t>(flags.value));
        },
        R"(Remove a snapshot, with what is in the way of that.

Parameters
----------
name
    The name of the snapshot.
flags
    The sum of `RBD_SNAP_REMOVE_UNPROTECT`, `RBD_SNAP_REMOVE_FLATTEN` (flatten its clones
    first), or `RBD_SNAP_REMOVE_FORCE` (both).
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such snapshot.
ImageBusy
    The snapshot is protected.
Timeout
    `timeout` has passed.

Implements: rbd_snap_remove2)",
        py::arg("name"), py::arg("flags"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "remove_snap_by_id",
        [](const PyImage& self, const U64& snap_id) {
            without_gil([&] { snapshot::remove_by_id(self, snap_id); });
        },
        R"(Remove a snapshot of any namespace type.

Parameters
----------
snap_id
    The id of the snapshot.

Raises
------
ImageNotFound
    There is no such snapshot.
ImageBusy
    The snapshot is protected.

Implements: rbd_snap_remove_by_id)",
        py::arg("snap_id"));
    define(
        image, "rename_snap",
        [](const PyImage& self, const Name& srcname, const Name& dstname) {
            without_gil([&] { snapshot::rename(self, srcname, dstname); });
        },
        R"(Rename a snapshot.

Parameters
----------
srcname
    The present name.
dstname
    The new name.

Raises
------
ImageNotFound
    There is no snapshot `srcname`.
ImageExists
    There is a snapshot `dstname`.

Examples
--------
>>> image.rename_snap("monday", "week-48")

Implements: rbd_snap_rename)",
        py::arg("srcname"), py::arg("dstname"));
    define(
        image, "rollback_to_snap",
        [](const PyImage& self, const Name& name, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::rollback, self.get(), name);
        },
        R"(Make the image what it was at a snapshot.

Parameters
----------
name
    The name of the snapshot.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop: the
    image then holds something of both.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such snapshot.
IOError
    The cluster could not read or write.
OperationNotSupported
    The image is in migration.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Examples
--------
>>> image.rollback_to_snap("monday")

Implements: rbd_snap_rollback_with_progress)",
        py::arg("name"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define_by_name(image, "protect_snap", snapshot::protect,
                   R"(Protect a snapshot from removal, as clones of format 1 need it.

Parameters
----------
name
    The name of the snapshot.

Raises
------
ImageNotFound
    There is no such snapshot.
ImageBusy
    The snapshot is protected already.

Examples
--------
>>> image.protect_snap("monday")

Implements: rbd_snap_protect)");
    define_by_name(image, "unprotect_snap", snapshot::unprotect,
                   R"(End the protection of a snapshot.

Parameters
----------
name
    The name of the snapshot.

Raises
------
ImageBusy
    Clones need the snapshot.
InvalidArgument
    The snapshot is not protected.
ImageNotFound
    There is no such snapshot.

Examples
--------
>>> image.unprotect_snap("monday")

Implements: rbd_snap_unprotect)");
    define_by_name(image, "is_protected_snap", snapshot::is_protected,
                   R"(Return whether a snapshot is protected.

Parameters
----------
name
    The name of the snapshot.

Returns
-------
True if it is.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_is_protected)");
    define(
        image, "set_snap",
        [](const PyImage& self, const std::optional<Name>& name) {
            without_gil([&] { snapshot::set(self, string(name)); });
        },
        R"(Read from a snapshot from now on.

Writes then raise `ReadOnlyImage`.

Parameters
----------
name
    The name of the snapshot; None means the image itself again.

Raises
------
ImageNotFound
    There is no such snapshot.

Examples
--------
>>> image.set_snap("monday")
>>> old = image.read(0, 4096)
>>> image.set_snap(None)

Implements: rbd_snap_set)",
        py::arg("name"));
    define(
        image, "set_snap_by_id",
        [](const PyImage& self, const std::optional<U64>& snap_id) {
            without_gil([&] {
                // 0 is not the id of any snapshot. The stock module treats it as None.
                if (snap_id && *snap_id != 0) {
                    snapshot::set_by_id(self, *snap_id);
                } else {
                    snapshot::set(self, std::nullopt);
                }
            });
        },
        R"(Read from a snapshot of any namespace type from now on, as `set_snap` does.

Parameters
----------
snap_id
    The id of the snapshot; None or 0 means the image itself again.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_set_by_id)",
        py::arg("snap_id"));
    bind_queries(image);
}

}  // namespace rbdxx::python
