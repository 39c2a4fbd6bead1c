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
        "Have the cluster list this client as a daemon of a service.\n\n"
        "The cluster lists it for as long as the client is connected; this may be called before "
        "connect().\n\n"
        "Parameters\n----------\n"
        "service : str\n    The service, as in 'rgw'.\n"
        "daemon : str\n    The daemon's name in the service.\n"
        "metadata : mapping of str to str\n    What the cluster shows of the daemon.\n\n"
        "Raises\n------\n"
        "ObjectExists\n    If this client is registered already.\n"
        "InvalidArgumentError\n    If a name in metadata is empty.\n\n"
        "Implements: rados_service_register",
        py::arg("service"), py::arg("daemon"), py::arg("metadata"));
    define(
        rados, "service_daemon_update",
        [](const Cluster& self, const py::object& status) {
            auto pairs = pairs_of(status, "status");
            without_gil([&] { topics::service::update(self, pairs); });
        },
        "Replace the status of this client's daemon, after service_daemon_register.\n\n"
        "Parameters\n----------\n"
        "status : mapping of str to str\n    What the cluster shows of the daemon's state.\n\n"
        "Raises\n------\n"
        "InvalidArgumentError\n    If a name in status is empty.\n\n"
        "Implements: rados_service_update_status",
        py::arg("status"));
}

}  // namespace rbdxx::python::rados
