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
        "Makes a pool ready for images; force: even if another application has it.\n\n"
        "Raises PermissionError where another application has it.\n\nImplements: rbd_pool_init",
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
        "What is in the pool: a dict of image_count, image_provisioned_bytes, "
        "image_max_provisioned_bytes (with\nthe largest size of each image's snapshots), "
        "image_snap_count, and the same for the trash with\ntrash_.\n\n"
        "Implements: rbd_pool_stats_get",
        py::arg("ioctx"));
}

}  // namespace rbdxx::python
