// The contents of rbd._core.rados: one function for each topic of a connection and its objects.
// Nothing here depends on images.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/rados/ioctx.hpp>
#include <rbdxx/rados/operation.hpp>

#include "../support/arguments.hpp"
#include "../support/gil.hpp"

namespace rbdxx::rados {}

namespace rbdxx::python::rados {

// The C++ namespace of the topics, which this namespace's own name hides.
namespace topics = rbdxx::rados;

using RadosClass = py::class_<Cluster, Unlocked<Cluster>>;
using IoctxClass = py::class_<IoCtx, Unlocked<IoCtx>>;
using WriteOpClass = py::class_<topics::WriteOperation>;
using ReadOpClass = py::class_<topics::ReadOperation>;

// Returns the context behind a Python object. Raises TypeError for anything else.
inline const IoCtx& context_of(const py::object& ioctx) {
    if (!py::isinstance<IoCtx>(ioctx)) {
        throw py::type_error("ioctx must be an rbd.rados.Ioctx, not " +
                             std::string(Py_TYPE(ioctx.ptr())->tp_name));
    }
    return ioctx.cast<const IoCtx&>();
}

void bind_constants(py::module_& m);
void bind_cluster(RadosClass& rados);
void bind_pool(RadosClass& rados);
void bind_command(RadosClass& rados);
void bind_service(RadosClass& rados);
void bind_ioctx(RadosClass& rados, IoctxClass& ioctx);
void bind_statistics(RadosClass& rados, IoctxClass& ioctx);
void bind_application(IoctxClass& ioctx);
void bind_object(IoctxClass& ioctx);
void bind_xattr(py::module_& m, IoctxClass& ioctx);
void bind_operation(WriteOpClass& write_op, ReadOpClass& read_op, IoctxClass& ioctx);
void bind_omap(py::module_& m, WriteOpClass& write_op, IoctxClass& ioctx);
void bind_listing(py::module_& m, IoctxClass& ioctx);
void bind_lock(IoctxClass& ioctx);
void bind_snapshot(py::module_& m, IoctxClass& ioctx);
void bind_inconsistent(RadosClass& rados);
void bind_aio(py::module_& m, IoctxClass& ioctx);
void bind_watch(py::module_& m, IoctxClass& ioctx);
void bind_log(RadosClass& rados);

// Fills the namespace `rados` of the extension. The names of its classes begin with rbd.rados.
void contents(py::module_& core);

}  // namespace rbdxx::python::rados
