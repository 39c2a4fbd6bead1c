#include <rbdxx/rados/service.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

topics::service::Pairs pairs_of(const py::object& mapping, const char* what) {
    if (PyMapping_Check(mapping.ptr()) == 0 || !py::hasattr(mapping, "items")) {
        throw py::type_error(std::string(what) + " must be a mapping of str to str, not " +
                             Py_TYPE(mapping.ptr())->tp_name);
    }
    topics::service::Pairs pairs;
    for (py::handle item : py::iter(mapping.attr("items")())) {
        auto pair = py::cast<py::sequence>(item);
        pairs.emplace_back(convert_name(py::object(pair[0])), convert_name(py::object(pair[1])));
    }
    return pairs;
}

}  // namespace

void bind_service(RadosClass& rados) {
    define(
        rados, "service_daemon_register",
        [](const Cluster& self, const Name& service, const Name& daemon,
           const py::object& metadata) {
            auto pairs = pairs_of(metadata, "metadata");
            without_gil([&] { topics::service::add(self, service, daemon, pairs); });
        },
        R"(Register this client as a daemon of a service.

The cluster lists it as long as the client is connected. The call may be made before `connect`.

Parameters
----------
service
    The name of the service, such as "rgw".
daemon
    The name of the daemon within the service.
metadata
    Names and texts that the cluster shows of the daemon.

Raises
------
ObjectExists
    This client is registered already.
InvalidArgumentError
    A name in `metadata` is empty.

Implements: rados_service_register)",
        py::arg("service"), py::arg("daemon"), py::arg("metadata"));
    define(
        rados, "service_daemon_update",
        [](const Cluster& self, const py::object& status) {
            auto pairs = pairs_of(status, "status");
            without_gil([&] { topics::service::update(self, pairs); });
        },
        R"(Replace the status of the daemon that `service_daemon_register` has registered.

Parameters
----------
status
    Names and texts that the cluster shows of the daemon's state.

Raises
------
InvalidArgumentError
    A name in `status` is empty.

Implements: rados_service_update_status)",
        py::arg("status"));
}

}  // namespace rbdxx::python::rados
