#include <rbdxx/rados/inconsistent.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

void bind_inconsistent(RadosClass& rados) {
    define(
        rados, "get_inconsistent_pgs",
        [](const Cluster& self, const I64& pool_id) {
            py::list groups;
            for (const auto& group :
                 without_gil([&] { return topics::inconsistent::list(self, pool_id); })) {
                groups.append(text(group));
            }
            return groups;
        },
        R"(List the placement groups of a pool in which a scrub has found copies that differ.

Parameters
----------
pool_id
    The id of the pool.

Returns
-------
The ids of the placement groups, such as "2.1f".

Raises
------
ObjectNotFound
    There is no such pool.

Notes
-----
The call needs a manager, and waits until there is one.

Implements: rados_inconsistent_pg_list)",
        py::arg("pool_id"));
}

}  // namespace rbdxx::python::rados
