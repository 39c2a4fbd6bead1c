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
        R"(Create a namespace in the pool.

Parameters
----------
ioctx
    The pool.
name
    The name of the namespace.

Raises
------
ImageExists
    There is such a namespace.
InvalidArgument
    `name` is empty.

Implements: rbd_namespace_create)",
        py::arg("ioctx"), py::arg("name"));
    define(
        rbd, "namespace_exists",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            return without_gil([&] { return namespaces::exists(ioctx, name); });
        },
        R"(Return whether the pool has a namespace with this name.

Parameters
----------
ioctx
    The pool.
name
    The name of the namespace.

Returns
-------
True if it has.

Implements: rbd_namespace_exists)",
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
        R"(Return the names of the pool's namespaces.

Parameters
----------
ioctx
    The pool.

Returns
-------
The names.

Implements: rbd_namespace_list)",
        py::arg("ioctx"));
    define(
        rbd, "namespace_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            without_gil([&] { namespaces::remove(ioctx, name); });
        },
        R"(Remove an empty namespace.

Parameters
----------
ioctx
    The pool.
name
    The name of the namespace.

Raises
------
ImageNotFound
    There is no such namespace.
ImageBusy
    There are images in the namespace.

Implements: rbd_namespace_remove)",
        py::arg("ioctx"), py::arg("name"));
}

}  // namespace rbdxx::python
