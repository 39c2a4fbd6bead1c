#include <rbdxx/rados/snapshot.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// The snapshots of a pool, listed when the iterator is made; names are asked for one by one.
struct SnapIterator {
    py::object ioctx;
    std::vector<uint64_t> ids;
    std::size_t taken = 0;
};

py::object snapshot_of(const py::object& ioctx, const py::object& name, uint64_t id) {
    return py::module_::import("rbd.rados.snapshot").attr("Snap")(ioctx, name, id);
}

SnapIterator snapshots_of(const py::object& ioctx) {
    const auto& context = context_of(ioctx);
    return {ioctx, without_gil([&] { return topics::snapshot::list(context); }), 0};
}

py::object next_snapshot(SnapIterator& self) {
    if (self.taken >= self.ids.size()) {
        throw py::stop_iteration();
    }
    const uint64_t id = self.ids[self.taken++];
    const auto& context = self.ioctx.cast<const IoCtx&>();
    return snapshot_of(
        self.ioctx, text(without_gil([&] { return topics::snapshot::name_of(context, id); })), id);
}

void define_of_pool(IoctxClass& ioctx) {
    define(
        ioctx, "create_snap",
        [](const IoCtx& self, const Name& snap_name) {
            without_gil([&] { topics::snapshot::create(self, snap_name); });
        },
        "Make a snapshot of the whole pool.\n\n"
        "Raises ObjectExists; InvalidArgumentError for a pool with self-managed snapshots, such as "
        "each that had an image.\n\nImplements: rados_ioctx_snap_create",
        py::arg("snap_name"));
    define(
        ioctx, "remove_snap",
        [](const IoCtx& self, const Name& snap_name) {
            without_gil([&] { topics::snapshot::remove(self, snap_name); });
        },
        "Remove a snapshot of the pool. Raises ObjectNotFound.\n\n"
        "Implements: rados_ioctx_snap_remove",
        py::arg("snap_name"));
    define(
        ioctx, "lookup_snap",
        [](const py::object& self, const Name& snap_name) {
            const auto& context = self.cast<const IoCtx&>();
            const uint64_t id =
                without_gil([&] { return topics::snapshot::find(context, snap_name); });
            return snapshot_of(self, text(snap_name.value), id);
        },
        "Return a snapshot of the pool, as a Snap. Raises ObjectNotFound.\n\n"
        "Implements: rados_ioctx_snap_lookup",
        py::arg("snap_name"));
    define(
        ioctx, "_snap_time",
        [](const IoCtx& self, const U64& snap_id) {
            return without_gil([&] { return topics::snapshot::time_of(self, snap_id); });
        },
        "When a snapshot was made, in seconds since 1970.\n\n"
        "Implements: rados_ioctx_snap_get_stamp",
        py::arg("snap_id"));
    define(ioctx, "list_snaps", snapshots_of,
           "Return an iterator over the pool's snapshots, each a Snap.\n\n"
           "Implements: rados_ioctx_snap_list, rados_ioctx_snap_get_name");
    define(
        ioctx, "snap_rollback",
        [](const IoCtx& self, const Name& oid, const Name& snap_name) {
            without_gil([&] { topics::snapshot::rollback(self, oid, snap_name); });
        },
        "Set an object back to what it was at a snapshot of the pool.\n\n"
        "Raises ObjectNotFound.\n\nImplements: rados_ioctx_snap_rollback",
        py::arg("oid"), py::arg("snap_name"));
    define(
        ioctx, "set_read",
        [](const IoCtx& self, const U64& snap_id) {
            without_gil([&] { topics::snapshot::set_read(self, snap_id); });
        },
        "Have later reads see a snapshot, by its id; LIBRADOS_SNAP_HEAD for the present.\n\n"
        "Implements: rados_ioctx_snap_set_read",
        py::arg("snap_id"));
}

void define_self_managed(IoctxClass& ioctx) {
    define(
        ioctx, "create_self_managed_snap",
        [](const IoCtx& self) {
            return without_gil([&] { return topics::snapshot::create_id(self); });
        },
        "Make a snapshot that the program manages itself, and return its id.\n\n"
        "It keeps what objects were once set_self_managed_snap_write() names it. Raises "
        "InvalidArgumentError for a pool with\nsnapshots of its own.\n\n"
        "Implements: rados_ioctx_selfmanaged_snap_create");
    define(
        ioctx, "remove_self_managed_snap",
        [](const IoCtx& self, const U64& snap_id) {
            without_gil([&] { topics::snapshot::remove_id(self, snap_id); });
        },
        "Remove a self-managed snapshot.\n\nImplements: rados_ioctx_selfmanaged_snap_remove",
        py::arg("snap_id"));
    define(
        ioctx, "rollback_self_managed_snap",
        [](const IoCtx& self, const Name& oid, const U64& snap_id) {
            without_gil([&] { topics::snapshot::rollback_id(self, oid, snap_id); });
        },
        "Set an object back to what it was at a self-managed snapshot.\n\n"
        "Implements: rados_ioctx_selfmanaged_snap_rollback",
        py::arg("oid"), py::arg("snap_id"));
    define(
        ioctx, "set_self_managed_snap_write",
        [](const IoCtx& self, const py::iterable& snaps) {
            std::vector<uint64_t> ids;
            for (py::handle snap : snaps) {
                ids.push_back(convert_u64(snap));
            }
            without_gil([&] { topics::snapshot::set_write(self, ids); });
        },
        "Have later writes keep what the self-managed snapshots of these ids saw; [] for none."
        "\n\nImplements: rados_ioctx_selfmanaged_snap_set_write_ctx",
        py::arg("snaps"));
}

}  // namespace

void bind_snapshot(py::module_& m, IoctxClass& ioctx) {
    py::class_<SnapIterator> iterator(m, "SnapIterator", "The snapshots of a pool, each a Snap.");
    define_init(iterator, py::init(&snapshots_of), "Ioctx.list_snaps() makes one.",
                py::arg("ioctx"));
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    define(iterator, "__next__", next_snapshot, "The next Snap.");
    iterator.def_readonly("ioctx", &SnapIterator::ioctx, "The I/O context.");
    define_of_pool(ioctx);
    define_self_managed(ioctx);
}

}  // namespace rbdxx::python::rados
