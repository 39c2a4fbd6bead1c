#include <rbdxx/namespaces.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

void bind_namespaces(RbdClass& rbd) {
    define(
        rbd, "namespace_create",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            without_gil([&] { namespaces::create(ioctx, name); });
        },
        "Creates a namespace in the pool.\n\nRaises ImageExists, InvalidArgument.\n\n"
        "Implements: rbd_namespace_create",
        py::arg("ioctx"), py::arg("name"));
    define(
        rbd, "namespace_exists",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            return without_gil([&] { return namespaces::exists(ioctx, name); });
        },
        "Whether the pool has a namespace of that name.\n\nImplements: rbd_namespace_exists",
        py::arg("ioctx"), py::arg("name"));
    define(
        rbd, "namespace_list",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            auto found = without_gil([&] { return namespaces::list(ioctx); });
            py::list names;
            for (const auto& name : found) {
                names.append(text(name));
            }
            return names;
        },
        "The names of the pool's namespaces, as a list of str.\n\nImplements: rbd_namespace_list",
        py::arg("ioctx"));
    define(
        rbd, "namespace_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            without_gil([&] { namespaces::remove(ioctx, name); });
        },
        "Removes an empty namespace.\n\nRaises ImageNotFound, ImageBusy where there are images in "
        "it.\n\nImplements: rbd_namespace_remove",
        py::arg("ioctx"), py::arg("name"));
}

}  // namespace rbdxx::python
