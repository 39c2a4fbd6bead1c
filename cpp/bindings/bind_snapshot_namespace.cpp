#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/snapshot_namespace.hpp"

namespace rbdxx::python {

namespace {

// A method that asks about one snapshot by its id and gives a dict.
template <class Get>
auto asks(Get get) {
    return [get](const PyImage& self, const U64& snap_id) {
        return namespace_dict(without_gil([&] { return get(self.get(), snap_id.value); }));
    };
}

}  // namespace

void bind_snapshot_namespace(ImageClass& image) {
    define(
        image, "snap_get_namespace_type",
        [](const PyImage& self, const U64& snap_id) {
            return without_gil([&] { return snapshot_namespace::type(self, snap_id); });
        },
        "What made the snapshot: RBD_SNAP_NAMESPACE_TYPE_*.\n\nRaises ImageNotFound.\n\n"
        "Implements: rbd_snap_get_namespace_type",
        py::arg("snap_id"));
    define(image, "snap_get_group_namespace", asks(snapshot_namespace::group),
           "The group snapshot that the snapshot is part of: a dict of pool (the group's pool id), "
           "name and\nsnap_name.\n\n"
           "Raises ImageNotFound, InvalidArgument for a snapshot of another type.\n\n"
           "Implements: rbd_snap_get_group_namespace",
           py::arg("snap_id"));
    define(
        image, "snap_get_trash_namespace", asks(snapshot_namespace::trash),
        "What a snapshot was that was removed while clones need it: a dict of original_name, and\n"
        "original_namespace_type where librbd tells it (Ceph 20).\n\n"
        "Raises ImageNotFound, InvalidArgument for a snapshot of another type.\n\n"
        "Implements: rbd_snap_get_trash_namespace2, rbd_snap_get_trash_namespace",
        py::arg("snap_id"));
    define_gated(image, "rbd_snap_get_mirror_namespace", "snap_get_mirror_namespace",
                 asks(snapshot_namespace::mirror),
                 "What a snapshot of mirroring is: a dict of state (RBD_SNAP_MIRROR_STATE_*),\n"
                 "mirror_peer_uuids, complete, primary_mirror_uuid, primary_snap_id and\n"
                 "last_copied_object_number.\n\n"
                 "Raises ImageNotFound, InvalidArgument for a snapshot of another type.\n\n"
                 "Implements: rbd_snap_get_mirror_namespace",
                 py::arg("snap_id"));
}

}  // namespace rbdxx::python
