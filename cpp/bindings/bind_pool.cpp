#include <rbdxx/pool.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

void bind_pool(RbdClass& rbd) {
    define(
        rbd, "pool_init",
        [](const Rbd&, const IoCtxArgument& ioctx, const py::object& force) {
            int truth = PyObject_IsTrue(force.ptr());
            if (truth < 0) {
                throw py::error_already_set();
            }
            without_gil([&] { pool::init(ioctx, truth == 1); });
        },
        R"(Prepare a pool for images.

Parameters
----------
ioctx
    The pool.
force
    Do it even if another application uses the pool.

Raises
------
PermissionError
    Another application uses the pool; see `force`.

Implements: rbd_pool_init)",
        py::arg("ioctx"), py::arg("force"));
    define(
        rbd, "pool_stats_get",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            auto found = without_gil([&] { return pool::statistics(ioctx); });
            py::dict dict;
            dict["image_count"] = found.images;
            dict["image_provisioned_bytes"] = found.image_provisioned_bytes;
            dict["image_max_provisioned_bytes"] = found.image_max_provisioned_bytes;
            dict["image_snap_count"] = found.image_snapshots;
            dict["trash_count"] = found.trash_images;
            dict["trash_provisioned_bytes"] = found.trash_provisioned_bytes;
            dict["trash_max_provisioned_bytes"] = found.trash_max_provisioned_bytes;
            dict["trash_snap_count"] = found.trash_snapshots;
            return dict;
        },
        R"(Return how many images a pool has, and how large they are.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
A dict of `image_count`, `image_provisioned_bytes`, `image_max_provisioned_bytes` (with the
largest size of each image's snapshots) and `image_snap_count`, and of the same for the trash,
with `trash_` in place of `image_`.

Implements: rbd_pool_stats_get)",
        py::arg("ioctx"));
}

}  // namespace rbdxx::python
