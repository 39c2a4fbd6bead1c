#include <pybind11/stl.h>

#include <rbdxx/rados/pool.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

void bind_pool(RadosClass& rados) {
    define(
        rados, "list_pools",
        [](const Cluster& self) {
            py::list names;
            for (const auto& name : without_gil([&] { return topics::pool::list(self); })) {
                names.append(text(name));
            }
            return names;
        },
        R"(Return the names of the pools.

Examples
--------
>>> "rbd" in cluster.list_pools()
True

Implements: rados_pool_list)");
    define(
        rados, "pool_lookup",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return topics::pool::find(self, name); });
        },
        R"(Return the id of a pool.

Parameters
----------
pool_name
    The name of the pool.

Returns
-------
The id; None if there is no such pool.

Implements: rados_pool_lookup)",
        py::arg("pool_name"));
    define(
        rados, "pool_exists",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return topics::pool::find(self, name); }).has_value();
        },
        R"(Return whether there is a pool with this name.

Parameters
----------
pool_name
    The name.

Returns
-------
True if there is.

Implements: rados_pool_lookup)",
        py::arg("pool_name"));
    define(
        rados, "pool_reverse_lookup",
        [](const Cluster& self, const I64& id) {
            return text_or_none(without_gil([&] { return topics::pool::name_of(self, id); }));
        },
        R"(Return the name of a pool.

Parameters
----------
pool_id
    The id of the pool.

Returns
-------
The name; None if there is no such pool.

Implements: rados_pool_reverse_lookup)",
        py::arg("pool_id"));
    define(
        rados, "create_pool",
        [](const Cluster& self, const Name& name, const std::optional<U8>& crush_rule,
           const std::optional<U64>& auid) {
            std::optional<uint8_t> rule;
            if (crush_rule) {
                rule = crush_rule->value;
            }
            without_gil([&] { topics::pool::create(self, name, rule, number(auid)); });
        },
        R"(Create a pool.

Parameters
----------
pool_name
    The name of the pool.
crush_rule
    The number of the rule that places its objects; None means the cluster's default.
auid
    The number of an owner, for which Ceph has no use any more.

Raises
------
ObjectExists
    There is such a pool.

Implements: rados_pool_create, rados_pool_create_with_crush_rule, rados_pool_create_with_auid,
rados_pool_create_with_all)",
        py::arg("pool_name"), py::arg("crush_rule") = py::none(), py::arg("auid") = py::none());
    define(
        rados, "delete_pool",
        [](const Cluster& self, const Name& name) {
            without_gil([&] { topics::pool::remove(self, name); });
        },
        R"(Delete a pool and everything in it.

Parameters
----------
pool_name
    The name of the pool.

Raises
------
ObjectNotFound
    There is no such pool.
PermissionError
    The monitors do not allow it.

Implements: rados_pool_delete)",
        py::arg("pool_name"));
    define(
        rados, "get_pool_base_tier",
        [](const Cluster& self, const I64& id) {
            return without_gil([&] { return topics::pool::base_tier(self, id); });
        },
        R"(Return the pool under a cache tier.

Parameters
----------
pool_id
    The id of the cache tier.

Returns
-------
The id of the pool under it; `pool_id` itself if that pool is not a tier.

Raises
------
ObjectNotFound
    There is no such pool.

Implements: rados_pool_get_base_tier)",
        py::arg("pool_id"));
}

}  // namespace rbdxx::python::rados
