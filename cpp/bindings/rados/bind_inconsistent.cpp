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
        "Return the ids of a pool's placement groups in which a scrub has found replicas that "
        "differ, as in \"2.1f\".\n\n"
        "Waits for a manager. Raises ObjectNotFound.\n\nImplements: rados_inconsistent_pg_list",
        py::arg("pool_id"));
}

}  // namespace rbdxx::python::rados
