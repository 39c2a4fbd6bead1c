#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/snapshot_namespace.hpp"

namespace rbdxx::python {

namespace {

// Defines a method that asks about one snapshot by its id and returns a dict.
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
        R"(Return what a snapshot was taken for.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
One of `RBD_SNAP_NAMESPACE_TYPE_*`.

Raises
------
ImageNotFound
    There is no such snapshot.

Implements: rbd_snap_get_namespace_type)",
        py::arg("snap_id"));
    define(image, "snap_get_group_namespace", asks(snapshot_namespace::group),
           R"(Return the group snapshot that a snapshot is part of.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
A dict of `pool` (the id of the group's pool), `name` and `snap_name`.

Raises
------
ImageNotFound
    There is no such snapshot.
InvalidArgument
    The snapshot is of another type.

Implements: rbd_snap_get_group_namespace)",
           py::arg("snap_id"));
    define(image, "snap_get_trash_namespace", asks(snapshot_namespace::trash),
           R"(Return what a snapshot was that was removed while clones needed it.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
A dict of `original_name` and, from Ceph 20 on, `original_namespace_type`.

Raises
------
ImageNotFound
    There is no such snapshot.
InvalidArgument
    The snapshot is of another type.

Implements: rbd_snap_get_trash_namespace2, rbd_snap_get_trash_namespace)",
           py::arg("snap_id"));
    define_gated(image, "rbd_snap_get_mirror_namespace", "snap_get_mirror_namespace",
                 asks(snapshot_namespace::mirror),
                 R"(Return what a snapshot of mirroring is.

Parameters
----------
snap_id
    The id of the snapshot.

Returns
-------
A dict of `state` (`RBD_SNAP_MIRROR_STATE_*`), `mirror_peer_uuids`, `complete`,
`primary_mirror_uuid`, `primary_snap_id` and `last_copied_object_number`.

Raises
------
ImageNotFound
    There is no such snapshot.
InvalidArgument
    The snapshot is of another type.

Implements: rbd_snap_get_mirror_namespace)",
                 py::arg("snap_id"));
}

}  // namespace rbdxx::python
