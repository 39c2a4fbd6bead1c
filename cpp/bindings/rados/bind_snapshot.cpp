#include <atomic>
#include <memory>

#include <rbdxx/rados/snapshot.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// The snapshots of a pool, listed when the iterator is made. Each step asks for the name of one.
struct SnapIterator {
    py::object ioctx;
    std::vector<uint64_t> ids;
    // In threads without a global lock, too.
    std::unique_ptr<std::atomic<std::size_t>> taken = std::make_unique<std::atomic<std::size_t>>(0);
};

py::object snapshot_of(const py::object& ioctx, const py::object& name, uint64_t id) {
    return py::module_::import("rbd.rados.snapshot").attr("Snap")(ioctx, name, id);
}

SnapIterator snapshots_of(const py::object& ioctx) {
    const auto& context = context_of(ioctx);
    return {ioctx, without_gil([&] { return topics::snapshot::list(context); })};
}

py::object next_snapshot(SnapIterator& self) {
    const std::size_t place = self.taken->fetch_add(1);
    if (place >= self.ids.size()) {
        throw py::stop_iteration();
    }
    const uint64_t id = self.ids[place];
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
        R"(Take a snapshot of the whole pool.

Parameters
----------
snap_name
    The name of the snapshot.

Raises
------
ObjectExists
    There is such a snapshot.
InvalidArgumentError
    The pool has self-managed snapshots. A pool that has had an image counts as one.

Implements: rados_ioctx_snap_create)",
        py::arg("snap_name"));
    define(
        ioctx, "remove_snap",
        [](const IoCtx& self, const Name& snap_name) {
            without_gil([&] { topics::snapshot::remove(self, snap_name); });
        },
        R"(Remove a snapshot of the pool.

Parameters
----------
snap_name
    The name of the snapshot.

Raises
------
ObjectNotFound
    There is no such snapshot.

Implements: rados_ioctx_snap_remove)",
        py::arg("snap_name"));
    define(
        ioctx, "lookup_snap",
        [](const py::object& self, const Name& snap_name) {
            const auto& context = self.cast<const IoCtx&>();
            const uint64_t id =
                without_gil([&] { return topics::snapshot::find(context, snap_name); });
            return snapshot_of(self, text(snap_name.value), id);
        },
        R"(Find a snapshot of the pool.

Parameters
----------
snap_name
    The name of the snapshot.

Returns
-------
The snapshot.

Raises
------
ObjectNotFound
    There is no such snapshot.

Implements: rados_ioctx_snap_lookup)",
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
           R"(List the snapshots of the pool.

Returns
-------
An iterator of `Snap`.

Implements: rados_ioctx_snap_list, rados_ioctx_snap_get_name)");
    define(
        ioctx, "snap_rollback",
        [](const IoCtx& self, const Name& oid, const Name& snap_name) {
            without_gil([&] { topics::snapshot::rollback(self, oid, snap_name); });
        },
        R"(Set an object back to its state in a snapshot of the pool.

Parameters
----------
oid
    The name of the object.
snap_name
    The name of the snapshot.

Raises
------
ObjectNotFound
    There is no such object or snapshot.

Implements: rados_ioctx_snap_rollback)",
        py::arg("oid"), py::arg("snap_name"));
    define(
        ioctx, "set_read",
        [](const IoCtx& self, const U64& snap_id) {
            without_gil([&] { topics::snapshot::set_read(self, snap_id); });
        },
        R"(Make reads through this context come from a snapshot.

Parameters
----------
snap_id
    The id of the snapshot; `LIBRADOS_SNAP_HEAD` means the head.

Implements: rados_ioctx_snap_set_read)",
        py::arg("snap_id"));
}

void define_self_managed(IoctxClass& ioctx) {
    define(
        ioctx, "create_self_managed_snap",
        [](const IoCtx& self) {
            return without_gil([&] { return topics::snapshot::create_id(self); });
        },
        R"(Create a snapshot that the program manages itself.

It keeps the state of objects once `set_self_managed_snap_write` names it.

Returns
-------
The id of the snapshot.

Raises
------
InvalidArgumentError
    The pool has snapshots of the whole pool.

Implements: rados_ioctx_selfmanaged_snap_create)");
    define(
        ioctx, "remove_self_managed_snap",
        [](const IoCtx& self, const U64& snap_id) {
            without_gil([&] { topics::snapshot::remove_id(self, snap_id); });
        },
        R"(Remove a self-managed snapshot.

Parameters
----------
snap_id
    The id of the snapshot.

Implements: rados_ioctx_selfmanaged_snap_remove)",
        py::arg("snap_id"));
    define(
        ioctx, "rollback_self_managed_snap",
        [](const IoCtx& self, const Name& oid, const U64& snap_id) {
            without_gil([&] { topics::snapshot::rollback_id(self, oid, snap_id); });
        },
        R"(Set an object back to its state in a self-managed snapshot.

Parameters
----------
oid
    The name of the object.
snap_id
    The id of the snapshot.

Raises
------
ObjectNotFound
    There is no such object.

Implements: rados_ioctx_selfmanaged_snap_rollback)",
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
        R"(Make writes through this context keep the state of objects in self-managed snapshots.

Parameters
----------
snaps
    The ids of the snapshots; [] means none.

Implements: rados_ioctx_selfmanaged_snap_set_write_ctx)",
        py::arg("snaps"));
}

}  // namespace

void bind_snapshot(py::module_& m, IoctxClass& ioctx) {
    py::class_<SnapIterator> iterator(m, "SnapIterator", "The snapshots of a pool, each a Snap.");
    define_init(iterator, py::init(&snapshots_of), "Make one, as `Ioctx.list_snaps` does.",
                py::arg("ioctx"));
    define(
        iterator, "__iter__", [](py::object self) { return self; }, "The iterator itself.");
    define(iterator, "__next__", next_snapshot, "The next Snap.");
    iterator.def_readonly("ioctx", &SnapIterator::ioctx, "The I/O context.");
    define_of_pool(ioctx);
    define_self_managed(ioctx);
}

}  // namespace rbdxx::python::rados
