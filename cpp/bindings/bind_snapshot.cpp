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

// What librbd tells of one snapshot; of the three, the one that its type says, if it is to be had.
struct Entry {
    snapshot::Snapshot snapshot;
    unsigned type = constants::SNAP_NAMESPACE_TYPE_USER;
    std::optional<snapshot_namespace::Group> group;
    std::optional<snapshot_namespace::Trash> trash;
    std::optional<snapshot_namespace::Mirror> mirror;
};

template <class Origin>
void ask(std::optional<Origin>& answer, Origin (*get)(const Image&, uint64_t), const Image& image,
         uint64_t id) {
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
            continue;  // removed meanwhile
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

template <class Origin>
py::object dict_or_none(const std::optional<Origin>& origin) {
    return origin ? py::object(namespace_dict(*origin)) : py::object(py::none());
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

// A method that does one thing to a snapshot by its name.
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
        "Whether there is a snapshot of that name.\n\nImplements: rbd_snap_exists",
        py::arg("name"));
    define_gated(
        image, "rbd_snap_get_id", "snap_get_id",
        [](const PyImage& self, const Name& snap_name) {
            return without_gil([&] { return snapshot::id(self, snap_name); });
        },
        "The id of a snapshot.\n\nRaises ImageNotFound.\n\nImplements: rbd_snap_get_id",
        py::arg("snap_name"));
    define_gated(
        image, "rbd_snap_get_name", "snap_get_name",
        [](const PyImage& self, const U64& snap_id) {
            return text(without_gil([&] { return snapshot::name(self, snap_id); }));
        },
        "The name of a snapshot.\n\nRaises ImageNotFound.\n\nImplements: rbd_snap_get_name",
        py::arg("snap_id"));
    define(
        image, "get_snap_timestamp",
        [](const PyImage& self, const U64& snap_id) {
            return to_python(without_gil([&] { return snapshot::timestamp(self, snap_id); }));
        },
        "When the snapshot was taken, as a datetime in UTC; naive before Ceph 20.\n\n"
        "Raises ImageNotFound.\n\n"
        "Implements: rbd_snap_get_timestamp",
        py::arg("snap_id"));
    define(
        image, "get_snap_limit",
        [](const PyImage& self) { return without_gil([&] { return snapshot::limit(self); }); },
        "How many snapshots the image may have; 2**64-1 where there is no limit.\n\n"
        "Implements: rbd_snap_get_limit");
    define(
        image, "set_snap_limit",
        [](const PyImage& self, const U64& limit) {
            without_gil([&] { snapshot::set_limit(self, limit); });
            return 0;
        },
        "Limits how many snapshots the image may have; one more raises DiskQuotaExceeded.\n\n"
        "Gives 0. Raises OSError with ERANGE where there are more already.\n\n"
        "Implements: rbd_snap_set_limit",
        py::arg("limit"));
    define(
        image, "remove_snap_limit",
        [](const PyImage& self) {
            without_gil([&] { snapshot::set_limit(self, UINT64_MAX); });
            return 0;
        },
        "Lets the image have any number of snapshots. Gives 0.\n\nImplements: rbd_snap_set_limit");
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
        "The image's snapshots, as an iterator of dicts.\n\nImplements: rbd_snap_list");
    define(
        image, "create_snap",
        [](const PyImage& self, const Name& name, const Flags& flags, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::create, self.get(), name,
                      static_cast<uint32_t>(flags.value));
        },
        "Takes a snapshot.\n\n"
        "flags: RBD_SNAP_CREATE_*. on_progress(done, total) is called before each attempt to "
        "quiesce\n"
        "the image's other users, and cannot stop it. Raises ImageExists, ReadOnlyImage,\n"
        "DiskQuotaExceeded.\n\n"
        "Implements: rbd_snap_create2, rbd_snap_create",
        py::arg("name"), py::arg("flags") = 0, py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define_by_name(
        image, "remove_snap", snapshot::remove,
        "Removes a snapshot.\n\nRaises ImageNotFound, ImageBusy where it is protected.\n\n"
        "Implements: rbd_snap_remove");
    define(
        image, "remove_snap2",
        [](const PyImage& self, const Name& name, const Flags& flags, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::remove_with_flags, self.get(), name,
                      static_cast<uint32_t>(flags.value));
        },
        "Removes a snapshot.\n\n"
        "flags: RBD_SNAP_REMOVE_UNPROTECT, _FLATTEN (its clones first), _FORCE (both).\n"
        "on_progress(done, total) cannot stop it.\n\n"
        "Raises ImageNotFound, ImageBusy where it is protected.\n\nImplements: rbd_snap_remove2",
        py::arg("name"), py::arg("flags"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define(
        image, "remove_snap_by_id",
        [](const PyImage& self, const U64& snap_id) {
            without_gil([&] { snapshot::remove_by_id(self, snap_id); });
        },
        "Removes a snapshot of whatever namespace type.\n\n"
        "Raises ImageNotFound, ImageBusy where it is protected.\n\n"
        "Implements: rbd_snap_remove_by_id",
        py::arg("snap_id"));
    define(
        image, "rename_snap",
        [](const PyImage& self, const Name& srcname, const Name& dstname) {
            without_gil([&] { snapshot::rename(self, srcname, dstname); });
        },
        "Renames a snapshot.\n\nRaises ImageNotFound, ImageExists.\n\nImplements: rbd_snap_rename",
        py::arg("srcname"), py::arg("dstname"));
    define(
        image, "rollback_to_snap",
        [](const PyImage& self, const Name& name, const py::object& on_progress,
           const py::object& timeout) {
            long_call(on_progress, timeout, snapshot::rollback, self.get(), name);
        },
        "Makes the image what it was at the snapshot.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop: the image then holds "
        "something\n"
        "of both. Raises ImageNotFound, IOError, OperationCanceled, OperationNotSupported for an\n"
        "image in migration.\n\n"
        "Implements: rbd_snap_rollback_with_progress",
        py::arg("name"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
    define_by_name(image, "protect_snap", snapshot::protect,
                   "Protects a snapshot from removal, as old-style clones need.\n\n"
                   "Raises ImageNotFound, ImageBusy where it is protected already.\n\n"
                   "Implements: rbd_snap_protect");
    define_by_name(
        image, "unprotect_snap", snapshot::unprotect,
        "Lifts the protection.\n\nRaises ImageBusy where clones need it, InvalidArgument where\n"
        "there is none, ImageNotFound.\n\nImplements: rbd_snap_unprotect");
    define_by_name(image, "is_protected_snap", snapshot::is_protected,
                   "Whether the snapshot is protected.\n\nRaises ImageNotFound.\n\n"
                   "Implements: rbd_snap_is_protected");
    define(
        image, "set_snap",
        [](const PyImage& self, const std::optional<Name>& name) {
            without_gil([&] { snapshot::set(self, string(name)); });
        },
        "Reads come from the snapshot from now on, and writes raise ReadOnlyImage; None: the head "
        "again.\n\n"
        "Raises ImageNotFound.\n\nImplements: rbd_snap_set",
        py::arg("name"));
    define(
        image, "set_snap_by_id",
        [](const PyImage& self, const std::optional<U64>& snap_id) {
            without_gil([&] {
                // No snapshot has the id 0, which the stock module takes for None.
                if (snap_id && *snap_id != 0) {
                    snapshot::set_by_id(self, *snap_id);
                } else {
                    snapshot::set(self, std::nullopt);
                }
            });
        },
        "As set_snap(), for a snapshot of whatever namespace type; None or 0: the head "
        "again.\n\n"
        "Raises ImageNotFound.\n\nImplements: rbd_snap_set_by_id",
        py::arg("snap_id"));
    bind_queries(image);
}

}  // namespace rbdxx::python
