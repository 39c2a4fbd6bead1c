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
        "Return the names of the pools.\n\nImplements: rados_pool_list");
    define(
        rados, "pool_lookup",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return topics::pool::find(self, name); });
        },
        "Return the id of a pool, or None where there is none of that name.\n\n"
        "Implements: rados_pool_lookup",
        py::arg("pool_name"));
    define(
        rados, "pool_exists",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return topics::pool::find(self, name); }).has_value();
        },
        "Return whether there is a pool of that name.\n\nImplements: rados_pool_lookup",
        py::arg("pool_name"));
    define(
        rados, "pool_reverse_lookup",
        [](const Cluster& self, const I64& id) {
            return text_or_none(without_gil([&] { return topics::pool::name_of(self, id); }));
        },
        "Return the name of a pool, or None where there is none of that id.\n\n"
        "Implements: rados_pool_reverse_lookup",
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
        "Make a pool.\n\n"
        "crush_rule: the number of the rule that places its objects; None for the cluster's "
        "default.\nauid: the number of an owner, for which Ceph has no use any more. Raises "
        "ObjectExists.\n\n"
        "Implements: rados_pool_create, rados_pool_create_with_crush_rule, "
        "rados_pool_create_with_auid, rados_pool_create_with_all",
        py::arg("pool_name"), py::arg("crush_rule") = py::none(), py::arg("auid") = py::none());
    define(
        rados, "delete_pool",
        [](const Cluster& self, const Name& name) {
            without_gil([&] { topics::pool::remove(self, name); });
        },
        "Delete a pool and all that is in it, if the monitors allow that.\n\n"
        "Raises ObjectNotFound, PermissionError.\n\nImplements: rados_pool_delete",
        py::arg("pool_name"));
    define(
        rados, "get_pool_base_tier",
        [](const Cluster& self, const I64& id) {
            return without_gil([&] { return topics::pool::base_tier(self, id); });
        },
        "Return the id of the pool under a cache tier; `pool_id` itself if it is none.\n\n"
        "Raises ObjectNotFound.\n\nImplements: rados_pool_get_base_tier",
        py::arg("pool_id"));
}

}  // namespace rbdxx::python::rados
