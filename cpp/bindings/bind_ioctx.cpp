#include <pybind11/stl.h>

#include <rbdxx/ioctx.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

py::dict statistics(const IoCtx& self) {
    auto values = without_gil([&] { return self.statistics().values; });
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

py::list pairs(const std::vector<std::pair<std::string, std::string>>& values) {
    py::list list;
    for (const auto& [key, value] : values) {
        list.append(py::make_tuple(text(key), text(value)));
    }
    return list;
}

void close(IoCtx& self) {
    close_without_gil({}, [&](const Waiting& waiting) { self.close(waiting); });
}

}  // namespace

void bind_ioctx(py::module_& m) {
    py::class_<IoCtx> ioctx(
        m, "Ioctx",
        "An I/O context: one pool of a connected cluster, and a namespace in it.\n\n"
        "Made by Rados.open_ioctx. A context manager that closes it.",
        py::release_gil_before_calling_cpp_dtor());
    define(
        ioctx, "close", [](IoCtx& self) { close(self); },
        "Closes the context; images opened through it stay open. Closing twice is no error.\n\n"
        "Implements: rados_ioctx_destroy");
    define_context<IoCtx>(
        ioctx, [](IoCtx& self) { close(self); }, "The context itself.",
        "Closes the context; never hides the body's exception.");
    ioctx.def_property_readonly(
        "state", [](const IoCtx& self) { return self.closed() ? "closed" : "open"; },
        "\"open\" or \"closed\".");
    define(
        ioctx, "require_ioctx_open", [](const IoCtx& self) { self.use(); },
        "Raises IoctxStateError where the context is closed.");
    define(
        ioctx, "set_namespace",
        [](const IoCtx& self, const Name& nspace) {
            without_gil([&] { self.set_namespace(nspace); });
        },
        "Every later call works in this namespace of the pool; '' is the default one.\n\n"
        "Implements: rados_ioctx_set_namespace",
        py::arg("nspace"));
    define(
        ioctx, "get_namespace",
        [](const IoCtx& self) { return text(without_gil([&] { return self.get_namespace(); })); },
        "The namespace.\n\nImplements: rados_ioctx_get_namespace");
    define(
        ioctx, "get_pool_id",
        [](const IoCtx& self) { return without_gil([&] { return self.pool_id(); }); },
        "The pool's id.\n\nImplements: rados_ioctx_get_id");
    define(
        ioctx, "get_pool_name",
        [](const IoCtx& self) { return text(without_gil([&] { return self.pool_name(); })); },
        "The pool's name.\n\nImplements: rados_ioctx_get_pool_name");
    define(ioctx, "get_stats", statistics,
           "The pool's usage, as a dict of numbers (bytes, KiB, objects, operations).\n\n"
           "Implements: rados_ioctx_pool_stat");
    define(
        ioctx, "application_enable",
        [](const IoCtx& self, const Name& app_name, bool force) {
            without_gil([&] { self.application_enable(app_name, force); });
        },
        "Marks the pool as used by an application.\n\nImplements: rados_application_enable",
        py::arg("app_name"), py::arg("force") = false);
    define(
        ioctx, "application_list",
        [](const IoCtx& self) {
            py::list list;
            for (const auto& name : without_gil([&] { return self.application_list(); })) {
                list.append(text(name));
            }
            return list;
        },
        "The names of the applications that use the pool.\n\nImplements: rados_application_list");
    define(
        ioctx, "application_metadata_get",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            return text(without_gil([&] { return self.application_metadata_get(app_name, key); }));
        },
        "A value of an application's metadata.\n\nRaises ObjectNotFound.\n\n"
        "Implements: rados_application_metadata_get",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_set",
        [](const IoCtx& self, const Name& app_name, const Name& key, const Name& value) {
            without_gil([&] { self.application_metadata_set(app_name, key, value); });
        },
        "Sets a value of an application's metadata.\n\nImplements: rados_application_metadata_set",
        py::arg("app_name"), py::arg("key"), py::arg("value"));
    define(
        ioctx, "application_metadata_remove",
        [](const IoCtx& self, const Name& app_name, const Name& key) {
            without_gil([&] { self.application_metadata_remove(app_name, key); });
        },
        "Removes a value of an application's metadata.\n\n"
        "Implements: rados_application_metadata_remove",
        py::arg("app_name"), py::arg("key"));
    define(
        ioctx, "application_metadata_list",
        [](const IoCtx& self, const Name& app_name) {
            return pairs(without_gil([&] { return self.application_metadata_list(app_name); }));
        },
        "An application's metadata, as a list of (key, value).\n\n"
        "Implements: rados_application_metadata_list",
        py::arg("app_name"));
}

}  // namespace rbdxx::python
