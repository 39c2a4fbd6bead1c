#include <rbdxx/rados/application.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

py::list pairs(const std::vector<std::pair<std::string, std::string>>& values) {
    py::list list;
    for (const auto& [key, value] : values) {
        list.append(py::make_tuple(text(key), text(value)));
    }
    return list;
}

}  // namespace

void bind_application(IoctxClass& ioctx) {
    define(
        ioctx, "application_enable",
        [](const IoCtx& self, const Name& app_name, bool force) {
            without_gil([&] { topics::application::enable(self, app_name, force); });
        },
        R"(Mark the pool as one of an application.

Parameters
----------
app_name
    The name of the application; that of block devices is "rbd".
force
    Mark it even if another application uses the pool.

Raises
------
PermissionError
    Another application uses the pool; see `force`.

Implements: rados_application_enable)",
        py::arg("app_name"), py::arg("force") = false);
    define(
        ioctx, "application_list",
        [](const IoCtx& self) {
            py::list list;
            for (const auto& name : without_gil([&] { return topics::application::list(self); })) {
                list.append(text(name));
            }
            return list;
        },
        R"(Return the names of the applications that use the pool.

Implements: rados_application_list)");
    define(
        ioctx, "application_metadata_get",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            return text(without_gil([&] { return topics::application::get(self, app_name, key); }));
        },
        R"(Return a value of an application's metadata.

Parameters
----------
app_name
    The name of the application.
key
    The key.

Returns
-------
The value.

Raises
------
KeyError
    There is no such key. The exception is an `ObjectNotFound` too.
ObjectNotFound
    The pool is not one of that application.

Implements: rados_application_metadata_get)",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_set",
        [](const IoCtx& self, const Name& app_name, const Name& key, const Name& value) {
            without_gil([&] { topics::application::set(self, app_name, key, value); });
        },
        R"(Set a value of an application's metadata.

Parameters
----------
app_name
    The name of the application.
key
    The key.
value
    The value, which replaces another one.

Raises
------
ObjectNotFound
    The pool is not one of that application.

Implements: rados_application_metadata_set)",
        py::arg("app_name"), py::arg("key"), py::arg("value"));
    define(
        ioctx, "application_metadata_remove",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            without_gil([&] { topics::application::remove(self, app_name, key); });
        },
        R"(Remove a value of an application's metadata.

Parameters
----------
app_name
    The name of the application.
key
    The key. Removing one that does not exist does nothing.

Raises
------
ObjectNotFound
    The pool is not one of that application.

Implements: rados_application_metadata_remove)",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_list",
        [](const IoCtx& self, const Name& app_name) {
            return pairs(
                without_gil([&] { return topics::application::metadata(self, app_name); }));
        },
        R"(Return the metadata of an application.

Parameters
----------
app_name
    The name of the application.

Returns
-------
A list of pairs of key and value.

Raises
------
ObjectNotFound
    The pool is not one of that application.

Implements: rados_application_metadata_list)",
        py::arg("app_name"));
}

}  // namespace rbdxx::python::rados
