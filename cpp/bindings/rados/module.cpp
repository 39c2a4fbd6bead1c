#include "bindings.hpp"

namespace rbdxx::python::rados {

// A table of contents: each name of rbd.rados is defined and explained in the file of its topic.
void contents(py::module_& core) {
    // The import system does not know this module: the package rbd.rados shows its names.
    auto m = py::reinterpret_steal<py::module_>(PyModule_New("rbd.rados"));
    if (!m) {
        throw py::error_already_set();
    }
    core.attr("rados") = m;

    bind_constants(m);

    // The classes come before their methods, because signatures name each other's types.
    RadosClass rados(
        m, "Rados",
        "A client of a Ceph cluster.\n\n"
        "It is a context manager, which connects and shuts the connection down. Images and I/O "
        "contexts own a\nshare of the connection: it ends when the last of them is closed, in any "
        "order.",
        py::dynamic_attr());
    IoctxClass ioctx(m, "Ioctx",
                     "An I/O context: one pool of a connected cluster, and a namespace in it.\n\n"
                     "`Rados.open_ioctx` returns one. It is a context manager, which closes it.",
                     py::dynamic_attr());
    WriteOpClass write_op(m, "WriteOp",
                          "Changes to one object that take effect together or not at all.\n\n"
                          "`WriteOpCtx` makes one for a `with` block. `Ioctx.operate_write_op` "
                          "performs it.");
    ReadOpClass read_op(m, "ReadOp",
                        "Parts of one object that are read at once.\n\n"
                        "`ReadOpCtx` makes one for a `with` block. `Ioctx.operate_read_op` "
                        "performs it.");

    bind_cluster(rados);
    bind_pool(rados);
    bind_command(rados);
    bind_service(rados);
    bind_ioctx(rados, ioctx);
    bind_statistics(rados, ioctx);
    bind_application(ioctx);
    bind_object(ioctx);
    bind_xattr(m, ioctx);
    bind_operation(write_op, read_op, ioctx);
    bind_omap(m, write_op, ioctx);
    bind_listing(m, ioctx);
    bind_lock(ioctx);
    bind_snapshot(m, ioctx);
    bind_inconsistent(rados);
    bind_aio(m, ioctx);
    bind_watch(m, ioctx);
    bind_log(rados);
}

}  // namespace rbdxx::python::rados
