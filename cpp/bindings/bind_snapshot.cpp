#include <pybind11/stl.h>

#include <rbdxx/snapshot.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "gil.hpp"
#include "listing.hpp"

namespace rbdxx::python {

namespace {

struct SnapIterator : Listing {};

py::list list_snapshots(const PyImage& image) {
    auto snapshots = without_gil([&] { return snapshot::list(image); });
    py::list dicts;
    for (const auto& entry : snapshots) {
        py::dict dict;
        dict["id"] = entry.id;
        dict["size"] = entry.size;
        dict["name"] = text(entry.name);
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

}  // namespace

void bind_snapshot(py::module_& m, ImageClass& image) {
    auto iterator =
        bind_listing<SnapIterator, const PyImage&>(m, "SnapIterator", list_snapshots,
                                                   "The image's snapshots, each a dict of id, size "
                                                   "(bytes) and name. Implements: rbd_snap_list",
                                                   py::arg("image"));
    iterator.def_property_readonly(
        "num_snaps", [](const SnapIterator& self) { return self.items.size(); },
        "How many snapshots there are.");

    define(
        image, "list_snaps", [m](const py::object& self) { return m.attr("SnapIterator")(self); },
        "The image's snapshots, as an iterator of dicts.\n\nImplements: rbd_snap_list");
    define(
        image, "create_snap",
        [](const PyImage& self, const Name& name, const Flags& flags,
           const py::object& on_progress) {
            long_call(on_progress, [&](const Progress& progress) {
                snapshot::create(self, name, static_cast<uint32_t>(flags.value), progress);
            });
        },
        "Takes a snapshot.\n\n"
        "flags: RBD_SNAP_CREATE_*. Raises ImageExists, ReadOnlyImage, DiskQuotaExceeded.\n\n"
        "Implements: rbd_snap_create2, rbd_snap_create",
        py::arg("name"), py::arg("flags") = 0, py::kw_only(), py::arg("on_progress") = py::none());
    define_by_name(
        image, "remove_snap", snapshot::remove,
        "Removes a snapshot.\n\nRaises ImageNotFound, ImageBusy where it is protected.\n\n"
        "Implements: rbd_snap_remove");
    define(
        image, "rollback_to_snap",
        [](const PyImage& self, const Name& name, const py::object& on_progress) {
            long_call(on_progress,
                      [&](const Progress& progress) { snapshot::rollback(self, name, progress); });
        },
        "Makes the image what it was at the snapshot.\n\nRaises ImageNotFound, IOError.\n\n"
        "Implements: rbd_snap_rollback_with_progress",
        py::arg("name"), py::kw_only(), py::arg("on_progress") = py::none());
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
}

}  // namespace rbdxx::python
