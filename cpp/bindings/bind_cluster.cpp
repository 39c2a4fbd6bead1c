#include <pybind11/stl.h>

#include <rbdxx/cluster.hpp>
#include <rbdxx/ioctx.hpp>
#include <rbdxx/secret.hpp>

#include <cstring>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

py::list texts(const std::vector<std::string>& values) {
    py::list list;
    for (const auto& value : values) {
        list.append(text(value));
    }
    return list;
}

std::vector<std::string> names(const py::iterable& values) {
    std::vector<std::string> list;
    for (py::handle value : values) {
        list.push_back(convert_name(value));
    }
    return list;
}

const char* pointer(const std::optional<Name>& value) {
    return value ? value->value.c_str() : nullptr;
}

void define_pools(py::class_<Cluster>& cluster) {
    define(
        cluster, "list_pools",
        [](const Cluster& self) { return texts(without_gil([&] { return self.list_pools(); })); },
        "Implements: rados_pool_list");
    define(
        cluster, "pool_lookup",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return self.lookup_pool(name); });
        },
        "Implements: rados_pool_lookup", py::arg("name"));
    define(
        cluster, "pool_reverse_lookup",
        [](const Cluster& self, int64_t id) {
            return text(without_gil([&] { return self.lookup_pool_name(id); }));
        },
        "Implements: rados_pool_reverse_lookup", py::arg("id"));
    define(
        cluster, "create_pool",
        [](const Cluster& self, const Name& name, std::optional<uint8_t> crush_rule) {
            without_gil([&] { self.create_pool(name, crush_rule); });
        },
        "Implements: rados_pool_create, rados_pool_create_with_crush_rule", py::arg("name"),
        py::arg("crush_rule"));
    define(
        cluster, "delete_pool",
        [](const Cluster& self, const Name& name) { without_gil([&] { self.delete_pool(name); }); },
        "Implements: rados_pool_delete", py::arg("name"));
    define(
        cluster, "open_ioctx",
        [](const Cluster& self, const Name& name) {
            return without_gil([&] { return IoCtx::open(self, name.value); });
        },
        "Implements: rados_ioctx_create", py::arg("name"));
    define(
        cluster, "open_ioctx2",
        [](const Cluster& self, int64_t id) {
            return without_gil([&] { return IoCtx::open(self, id); });
        },
        "Implements: rados_ioctx_create2", py::arg("id"));
}

void define_configuration(py::class_<Cluster>& cluster) {
    define(
        cluster, "read_config",
        [](Cluster& self, const std::optional<Name>& path) {
            without_gil([&] { self.read_config(pointer(path)); });
        },
        "Implements: rados_conf_read_file", py::arg("path"));
    define(
        cluster, "parse_environment",
        [](Cluster& self, const std::optional<Name>& variable) {
            without_gil([&] { self.parse_environment(pointer(variable)); });
        },
        "Implements: rados_conf_parse_env", py::arg("variable"));
    define(
        cluster, "parse_arguments",
        [](Cluster& self, const py::iterable& arguments) {
            std::vector<std::string> given = names(arguments);
            return texts(without_gil([&] { return self.parse_arguments(given); }));
        },
        "Implements: rados_conf_parse_argv_remainder", py::arg("arguments"));
    define(
        cluster, "set",
        [](Cluster& self, const Name& option, const py::object& value) {
            // It may be a key.
            Secret secret = convert_secret(value, "surrogateescape");
            if (std::strlen(secret.data()) != secret.size()) {
                throw py::value_error("the value must not contain NUL");
            }
            without_gil([&] { self.set(option, secret.data()); });
        },
        "Implements: rados_conf_set", py::arg("option"), py::arg("value"));
    define(
        cluster, "get",
        [](const Cluster& self, const Name& option) {
            std::optional<std::string> value = without_gil([&] { return self.get(option); });
            py::object result = text_or_none(value);
            if (value) {
                std::string& text = *value;
                Secret::wipe(text.data(), text.size());
            }
            return result;
        },
        "Implements: rados_conf_get", py::arg("option"));
}

}  // namespace

void bind_cluster(py::module_& m) {
    py::class_<Cluster> cluster(m, "Cluster", "The connection behind rbd.rados.Rados, which see.",
                                py::release_gil_before_calling_cpp_dtor());
    cluster.def(py::init([](const std::optional<Name>& id) {
                    return without_gil([&] { return Cluster::create_with_id(pointer(id)); });
                }),
                py::arg("id"));
    cluster.def(py::init([](const Name& cluster_name, const Name& name, const U64& flags) {
                    return without_gil([&] { return Cluster::create(cluster_name, name, flags); });
                }),
                py::arg("cluster_name"), py::arg("name"), py::arg("flags"));
    define_configuration(cluster);
    define_pools(cluster);
    define(
        cluster, "connect", [](Cluster& self) { without_gil([&] { self.connect(); }); },
        "Implements: rados_connect");
    define(
        cluster, "shutdown", [](Cluster& self) { without_gil([&] { self.shutdown(); }); },
        "Implements: rados_shutdown");
    cluster.def_property_readonly("closed", [](const Cluster& self) { return self.closed(); });
    define(
        cluster, "fsid",
        [](const Cluster& self) { return text(without_gil([&] { return self.fsid(); })); },
        "Implements: rados_cluster_fsid");
    define(
        cluster, "instance_id",
        [](const Cluster& self) { return without_gil([&] { return self.instance_id(); }); },
        "Implements: rados_get_instance_id");
    define(
        cluster, "statistics",
        [](const Cluster& self) {
            auto values = without_gil([&] { return self.statistics(); });
            py::dict dict;
            dict["kb"] = values.kb;
            dict["kb_used"] = values.kb_used;
            dict["kb_avail"] = values.kb_avail;
            dict["num_objects"] = values.num_objects;
            return dict;
        },
        "Implements: rados_cluster_stat");
    define(
        cluster, "addresses",
        [](const Cluster& self) { return text(without_gil([&] { return self.addresses(); })); },
        "Implements: rados_getaddrs");
    define(
        cluster, "wait_for_latest_osdmap",
        [](const Cluster& self) { without_gil([&] { self.wait_for_latest_osdmap(); }); },
        "Implements: rados_wait_for_latest_osdmap");
    define(
        cluster, "blocklist_add",
        [](const Cluster& self, const Name& address, uint32_t seconds) {
            without_gil([&] { self.blocklist_add(address, seconds); });
        },
        "Implements: rados_blocklist_add, rados_blacklist_add", py::arg("address"),
        py::arg("seconds"));
    auto mon_command = [](const Cluster& self, const Name& command, const py::bytes& input,
                          const std::optional<Name>& target) {
        std::string sent = input;
        std::optional<std::string> monitor = string(target);
        CommandReply reply = without_gil([&] { return self.mon_command(command, sent, monitor); });
        return py::make_tuple(reply.result, py::bytes(reply.output), text(reply.status));
    };
    define(cluster, "mon_command", mon_command,
           "Implements: rados_mon_command, rados_mon_command_target", py::arg("command"),
           py::arg("input"), py::arg("target"));
    define_function(
        m, "rados_version",
        [] {
            Version version = without_gil([] { return rados_version(); });
            return py::make_tuple(version.major, version.minor, version.extra);
        },
        "Implements: rados_version");
}

}  // namespace rbdxx::python
