#include <rbdxx/rados/statistics.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

py::dict of_cluster(const Cluster& self) {
    auto values = without_gil([&] { return topics::statistics::of(self); });
    py::dict dict;
    dict["kb"] = values.kb;
    dict["kb_used"] = values.kb_used;
    dict["kb_avail"] = values.kb_avail;
    dict["num_objects"] = values.num_objects;
    return dict;
}

py::dict of_pool(const IoCtx& self) {
    auto values = without_gil([&] { return topics::statistics::of(self).values; });
    py::dict dict;
    dict["num_bytes"] = values.num_bytes;
    dict["num_kb"] = values.num_kb;
    dict["num_objects"] = values.num_objects;
    dict["num_object_clones"] = values.num_object_clones;
    dict["num_object_copies"] = values.num_object_copies;
    dict["num_objects_missing_on_primary"] = values.num_objects_missing_on_primary;
    dict["num_objects_unfound"] = values.num_objects_unfound;
    dict["num_objects_degraded"] = values.num_objects_degraded;
    dict["num_rd"] = values.num_rd;
    dict["num_rd_kb"] = values.num_rd_kb;
    dict["num_wr"] = values.num_wr;
    dict["num_wr_kb"] = values.num_wr_kb;
    return dict;
}

}  // namespace

void bind_statistics(RadosClass& rados, IoctxClass& ioctx) {
    define(rados, "get_cluster_stats", of_cluster,
           R"(Return the usage of the cluster.

Returns
-------
A dict of numbers: `kb`, `kb_used` and `kb_avail` in KiB, and `num_objects`.

Examples
--------
>>> sorted(cluster.get_cluster_stats())
['kb', 'kb_avail', 'kb_used', 'num_objects']

Implements: rados_cluster_stat)");
    define(ioctx, "get_stats", of_pool,
           R"(Return the usage of the pool.

Returns
-------
A dict of numbers: of bytes, of KiB for names that end with `kb`, of objects, and of operations.

Implements: rados_ioctx_pool_stat)");
}

}  // namespace rbdxx::python::rados
