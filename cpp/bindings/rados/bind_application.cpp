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
        "Mark the pool as used by an application.\n\nforce: also if another application uses "
        "it.\n\nImplements: rados_application_enable",
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
        "Return the names of the applications that use the pool.\n\nImplements: "
        "rados_application_list");
    define(
        ioctx, "application_metadata_get",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            return text(without_gil([&] { return topics::application::get(self, app_name, key); }));
        },
        "Return a value of an application's metadata.\n\nRaises KeyError, which is an "
        "ObjectNotFound too.\n\n"
        "Implements: rados_application_metadata_get",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_set",
        [](const IoCtx& self, const Name& app_name, const Name& key, const Name& value) {
            without_gil([&] { topics::application::set(self, app_name, key, value); });
        },
        "Set a value of an application's metadata.\n\nImplements: rados_application_metadata_set",
        py::arg("app_name"), py::arg("key"), py::arg("value"));
    define(
        ioctx, "application_metadata_remove",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            without_gil([&] { topics::application::remove(self, app_name, key); });
        },
        "Remove a value of an application's metadata.\n\n"
        "Implements: rados_application_metadata_remove",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_list",
        [](const IoCtx& self, const Name& app_name) {
            return pairs(
                without_gil([&] { return topics::application::metadata(self, app_name); }));
        },
        "Return an application's metadata, as a list of (key, value).\n\n"
        "Implements: rados_application_metadata_list",
        py::arg("app_name"));
}

}  // namespace rbdxx::python::rados
