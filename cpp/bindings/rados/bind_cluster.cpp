#include <pybind11/stl.h>

#include <rbdxx/secret.hpp>

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "../support/define.hpp"
#include "../support/errors.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// Values of conffile: read no file; search as librados does.
constexpr int no_file = -1;
constexpr int default_files = -2;

std::string path_of(const py::object& path) {
    return convert_name(checked(PyOS_FSPath(path.ptr())));
}

// A Secret, because the value may be a key.
Secret option_value(const py::handle& value) {
    Secret secret = convert_secret(value, "surrogateescape");
    if (std::strlen(secret.data()) != secret.size()) {
        throw py::value_error("the value of an option must not contain a NUL character");
    }
    return secret;
}

void set_option(Cluster& self, const std::string& option, const py::handle& value) {
    Secret secret = option_value(value);
    without_gil([&] { self.set(option, secret.data()); });
}

using Options = std::vector<std::pair<std::string, Secret>>;

// Returns the options in a mapping, or none for None. The TypeError for anything else calls the
// argument `name`.
Options options_of(const py::object& options, const char* name) {
    Options found;
    if (options.is_none()) {
        return found;
    }
    if (PyMapping_Check(options.ptr()) == 0 || !py::hasattr(options, "items")) {
        throw py::type_error(std::string(name) + " must be a mapping or None, not " +
                             Py_TYPE(options.ptr())->tp_name);
    }
    for (py::handle item : py::iter(options.attr("items")())) {
        auto pair = py::cast<py::sequence>(item);
        found.emplace_back(convert_name(py::object(pair[0])), option_value(py::object(pair[1])));
    }
    return found;
}

void set_options(Cluster& self, const Options& options) {
    for (const auto& [option, value] : options) {
        without_gil([&, &option = option, &value = value] { self.set(option, value.data()); });
    }
}

// Returns the file that conffile stands for: nullopt to read none, "" to search.
std::optional<std::string> file_of(const py::object& conffile) {
    if (conffile.is_none()) {
        return std::nullopt;
    }
    if (PyLong_Check(conffile.ptr()) != 0) {
        const int64_t number = convert_i64(conffile);
        if (number == no_file) {
            return std::nullopt;
        }
        if (number == default_files) {
            return "";
        }
        throw py::value_error(
            "conffile must be a path, Rados.NO_CONF_FILE or Rados.DEFAULT_CONF_FILES, not " +
            std::to_string(number));
    }
    return path_of(conffile);
}

void read_file(Cluster& self, const std::string& path) {
    without_gil([&] { self.read_config(path.empty() ? nullptr : path.c_str()); });
}

std::string name_of_client(const py::object& rados_id, const py::object& name) {
    if (!rados_id.is_none() && !name.is_none()) {
        throw RadosArgumentError("rados_id and name must not both be given");
    }
    if (!name.is_none()) {
        return convert_name(name);
    }
    return "client." + (rados_id.is_none() ? std::string("admin") : convert_name(rados_id));
}

Cluster make(const std::string& cluster, const std::string& client, uint64_t flags,
             const py::object& context) {
    if (context.is_none()) {
        return without_gil([&] { return Cluster::create(cluster, client, flags); });
    }
    if (PyCapsule_CheckExact(context.ptr()) == 0) {
        throw py::type_error("context must be a capsule that holds a CephContext, not " +
                             std::string(Py_TYPE(context.ptr())->tp_name));
    }
    void* raw = PyCapsule_GetPointer(context.ptr(), PyCapsule_GetName(context.ptr()));
    if (raw == nullptr) {
        throw py::error_already_set();
    }
    return without_gil([&] { return Cluster::create_with_context(raw); });
}

void construct(py::detail::value_and_holder& holder, const py::object& rados_id,
               const py::object& name, const py::object& clustername,
               const py::object& conf_defaults, const py::object& conffile, const py::object& conf,
               const U64& flags, const py::object& context) {
    const std::string client = name_of_client(rados_id, name);
    const std::optional<std::string> file = file_of(conffile);
    const std::string cluster = clustername.is_none() ? "" : convert_name(clustername);
    const Options defaults = options_of(conf_defaults, "conf_defaults");
    const Options options = options_of(conf, "conf");
    auto made = Unlocked<Cluster>(new Cluster(make(cluster, client, flags, context)));
    set_options(*made, defaults);
    if (file) {
        read_file(*made, *file);
    }
    set_options(*made, options);
    py::object self = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(holder.inst));
    self.attr("rados_id") = rados_id;
    self.attr("clustername") = cluster.empty() ? py::object(py::str("ceph")) : text(cluster);
    self.attr("conf_defaults") = conf_defaults;
    self.attr("conffile") = conffile;
    self.attr("parsed_args") = py::list();
    self.attr("_client") = text(client);
    holder.value_ptr() = made.release();
}

std::string repr(const py::object& self) {
    return "<rbd.rados.Rados " + std::string(py::str(self.attr("_client"))) + " (" +
           name_of(self.cast<const Cluster&>().connection()) + ")>";
}

void require_state(const Cluster& self, const py::args& states) {
    const char* now = name_of(self.connection());
    for (py::handle state : states) {
        if (PyUnicode_Check(state.ptr()) != 0 &&
            PyUnicode_CompareWithASCIIString(state.ptr(), now) == 0) {
            return;
        }
    }
    std::string wanted = py::str(py::str(" or ").attr("join")(
        py::reinterpret_steal<py::object>(PySequence_List(states.ptr()))));
    throw ClosedError(
        "the connection is in state " + std::string(now) + ", but must be in state " + wanted,
        ClosedError::Subject::cluster);
}

// The methods that configure a client. They work until the connection is shut down.
void define_configuration(RadosClass& rados) {
    define(
        rados, "conf_read_file",
        [](Cluster& self, const py::object& path) {
            read_file(self, path.is_none() ? std::string() : path_of(path));
        },
        R"(Read a configuration file.

Parameters
----------
path
    The file; None searches as librados does, `CEPH_CONF` included.

Raises
------
ObjectNotFound
    There is no such file.

Implements: rados_conf_read_file)",
        py::arg("path") = py::none());
    define(
        rados, "conf_parse_argv",
        [](const py::object& self, const py::iterable& args) {
            auto& cluster = self.cast<Cluster&>();
            py::list given(args);
            std::vector<std::string> arguments;
            for (py::handle argument : given) {
                arguments.push_back(convert_name(argument));
            }
            py::list left;
            for (const auto& argument :
                 without_gil([&] { return cluster.parse_arguments(arguments); })) {
                left.append(text(argument));
            }
            self.attr("parsed_args") = given;
            return left;
        },
        R"(Set options from command-line arguments.

Parameters
----------
args
    The arguments, such as "--rados_osd_op_timeout=5".

Returns
-------
The arguments that librados does not know.

Implements: rados_conf_parse_argv_remainder)",
        py::arg("args"));
    define(
        rados, "conf_parse_env",
        [](Cluster& self, const std::optional<Name>& variable) {
            without_gil(
                [&] { self.parse_environment(variable ? variable->value.c_str() : nullptr); });
        },
        R"(Set options from an environment variable.

Parameters
----------
var
    The name of the variable; None means `CEPH_ARGS`.

Implements: rados_conf_parse_env)",
        py::arg("var") = "CEPH_ARGS");
    define(
        rados, "conf_get",
        [](const Cluster& self, const Name& option) {
            std::optional<std::string> value = without_gil([&] { return self.get(option); });
            py::object result = text_or_none(value);
            if (value) {
                Secret::wipe(value->data(), value->size());
            }
            return result;
        },
        R"(Return the value of an option.

Parameters
----------
option
    The name of the option.

Returns
-------
The value; None if there is no such option.

Implements: rados_conf_get)",
        py::arg("option"));
    define(
        rados, "conf_set",
        [](Cluster& self, const Name& option, const py::object& val) {
            set_option(self, option, val);
        },
        R"(Set an option.

Parameters
----------
option
    The name of the option.
val
    Its value, as text.

Raises
------
ObjectNotFound
    There is no such option.
InvalidArgumentError
    The option cannot have this value.

Implements: rados_conf_set)",
        py::arg("option"), py::arg("val"));
}

// Returns seconds as the text of an option, which the C API requires; "" means no limit.
std::string bound(const py::object& timeout) {
    const double seconds = PyFloat_AsDouble(timeout.ptr());
    if (seconds == -1.0 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    if (!(seconds >= 0)) {
        throw py::value_error("timeout must be at least 0 seconds, not " +
                              std::string(py::str(timeout)));
    }
    return seconds == 0 ? std::string() : std::string(py::str(timeout));
}

void connect(Cluster& self, const py::object& timeout) {
    const std::string seconds = bound(timeout);
    without_gil([&] {
        self.require(ConnectionState::configuring);
        // This option is the only limit on the time that librados takes to connect.
        std::optional<std::string> usual;
        if (!seconds.empty()) {
            usual = self.get("client_mount_timeout");
            self.set("client_mount_timeout", seconds);
        }
        std::exception_ptr failed;
        try {
            self.connect();
        } catch (const Error&) {
            failed = std::current_exception();
        }
        if (usual && !self.closed()) {
            self.set("client_mount_timeout", *usual);
        }
        if (failed) {
            std::rethrow_exception(failed);
        }
    });
}

void define_connection(RadosClass& rados) {
    rados.def_property_readonly(
        "state", [](const Cluster& self) { return name_of(self.connection()); },
        "\"configuring\", \"connected\" or \"shutdown\".");
    define_variadic(rados, "require_state", require_state, "(self, *args)",
                    R"(Raise an exception unless the connection is in one of some states.

Parameters
----------
args
    The states: "configuring", "connected" or "shutdown".

Raises
------
RadosStateError
    The connection is in another state.)");
    define(rados, "connect", connect,
           R"(Connect to the cluster.

Parameters
----------
timeout
    How many seconds to wait; 0 leaves that to `client_mount_timeout`.

Raises
------
TimedOut
    No monitor has answered in time.
ObjectNotFound
    The configuration names no monitor.
PermissionDeniedError
    The cluster does not accept the client's key.
RadosStateError
    The connection was made already, or shut down.

Implements: rados_connect)",
           py::arg("timeout") = 0);
    define(
        rados, "shutdown", [](Cluster& self) { without_gil([&] { self.shutdown(); }); },
        R"(Shut the connection down. Doing it twice does nothing.

Notes
-----
Later calls, also those on objects, raise `RadosStateError`. The connection itself ends when no context
and no image uses it.

Implements: rados_shutdown)");
    define(
        rados, "__enter__",
        [](const py::object& self) {
            auto& cluster = self.cast<Cluster&>();
            if (cluster.connection() == ConnectionState::configuring) {
                self.attr("connect")();
            } else {
                cluster.require(ConnectionState::connected);
            }
            return self;
        },
        "Connect, unless the client is connected already.");
    define(
        rados, "__exit__",
        [](Cluster& self, const py::object&, const py::object&, const py::object&) {
            without_gil([&] { self.shutdown(); });
            return false;
        },
        "Shut the connection down. An exception of the body is raised further.",
        py::arg("type_") = py::none(), py::arg("value") = py::none(),
        py::arg("traceback") = py::none());
}

}  // namespace

void bind_cluster(RadosClass& rados) {
    define_constructor(rados, construct,
                       R"(Configure a client. `connect` or a `with` block connects it.

Parameters
----------
rados_id
    The name of the client without its type, such as "admin".
name
    The full name of the client, such as "client.admin", in place of `rados_id`.
clustername
    The name that `$cluster` in paths stands for.
conf_defaults
    Options that are set first.
conffile
    The path of a configuration file. '' and `DEFAULT_CONF_FILES` search for one as librados does,
    `CEPH_CONF` included. None and `NO_CONF_FILE` read none.
conf
    Options that are set last.
flags
    As in `rados_create2`.
context
    A capsule with the CephContext of another client, whose configuration is used.

Raises
------
ObjectNotFound
    There is no such file, or no such option.

Examples
--------
>>> with rbd.rados.Rados(conffile="") as cluster:
...     pools = cluster.list_pools()

Implements: rados_create2, rados_create_with_context)",
                       py::arg("rados_id") = py::none(), py::arg("name") = py::none(),
                       py::arg("clustername") = py::none(), py::arg("conf_defaults") = py::none(),
                       py::arg("conffile") = no_file, py::arg("conf") = py::none(),
                       py::arg("flags") = 0, py::arg("context") = py::none());
    // These attributes exist on an instance only, because the constructor sets them.
    for (const char* name : {"rados_id", "conf_defaults", "conffile", "parsed_args",
                             "monitor_callback", "monitor_callback2"}) {
        rados.attr(name) = py::none();
    }
    rados.attr("NO_CONF_FILE") = no_file;
    rados.attr("DEFAULT_CONF_FILES") = default_files;
    rados.def("__repr__", repr);
    define_configuration(rados);
    define_connection(rados);
    define(
        rados, "version",
        [](const Cluster&) {
            Version version = without_gil([] { return rados_version(); });
            return py::module_::import("rbd.rados.version")
                .attr("Version")(version.major, version.minor, version.extra);
        },
        "Return the version of the loaded librados, as a Version.\n\nImplements: rados_version");
    define(
        rados, "get_fsid",
        [](const Cluster& self) { return text(without_gil([&] { return self.fsid(); })); },
        "Return the cluster's id.\n\nImplements: rados_cluster_fsid");
    define(
        rados, "get_instance_id",
        [](const Cluster& self) { return without_gil([&] { return self.instance_id(); }); },
        R"(Return the number of this client, which no other client of the cluster has.

Implements: rados_get_instance_id)");
    define(
        rados, "get_addrs",
        [](const Cluster& self) { return text(without_gil([&] { return self.addresses(); })); },
        R"(Return the addresses of this client, in the form that `blocklist_add` takes.

Implements: rados_getaddrs)");
    define(
        rados, "wait_for_latest_osdmap",
        [](const Cluster& self) {
            without_gil([&] { self.wait_for_latest_osdmap(); });
            return 0;
        },
        R"(Wait until this client has the latest map of the cluster.

Returns
-------
0.

Implements: rados_wait_for_latest_osdmap)");
    auto blocklist_add = [](const Cluster& self, const Name& client_address,
                            const U32& expire_seconds) {
        without_gil([&] { self.blocklist_add(client_address, expire_seconds); });
    };
    const char* about = R"(Keep a client from using the cluster.

Parameters
----------
client_address
    The address of the client, as `get_addrs` returns it.
expire_seconds
    The number of seconds that this lasts; 0 means the cluster's default.

Implements: rados_blocklist_add, rados_blacklist_add)";
    define(rados, "blocklist_add", blocklist_add, about, py::arg("client_address"),
           py::arg("expire_seconds") = 0);
    // The name of the same call in releases before Ceph 16.
    define(rados, "blacklist_add", blocklist_add, about, py::arg("client_address"),
           py::arg("expire_seconds") = 0);
    define(
        rados, "ping_monitor",
        [](const Cluster& self, const Name& mon_id) {
            return text(without_gil([&] { return self.ping_monitor(mon_id); }));
        },
        R"(Ping a monitor.

Parameters
----------
mon_id
    The name of the monitor.

Returns
-------
The monitor's answer, a JSON text.

Raises
------
ObjectNotFound
    There is no such monitor.

Notes
-----
The call needs a configuration, but no connection. On a busy machine, librados can crash in it; prefer
`mon_command` with a target.

Implements: rados_ping_monitor)",
        py::arg("mon_id"));
}

}  // namespace rbdxx::python::rados
