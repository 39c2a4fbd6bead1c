#include <pybind11/stl.h>

#include <rbdxx/rados/command.hpp>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

void bind_command(RadosClass& rados) {
    auto mon_command = [](const Cluster& self, const Name& command, const py::bytes& input,
                          const py::object& timeout, const py::object& target) {
        static_cast<void>(timeout);
        std::string sent = input;
        std::optional<std::string> monitor;
        if (!target.is_none()) {
            monitor = convert_name(py::isinstance<py::int_>(target) ? py::str(target) : target);
        }
        auto reply =
            without_gil([&] { return topics::command::mon(self, command, sent, monitor); });
        return py::make_tuple(reply.result, py::bytes(reply.output), text(reply.status));
    };
    define(rados, "mon_command", mon_command,
           "Send a command (JSON text) to a monitor.\n\n"
           "Returns (return code, output, status). timeout is accepted; rados_mon_op_timeout is "
           "what bounds a command.\ntarget: the name of one monitor; None for any.\n\n"
           "Implements: rados_mon_command, rados_mon_command_target",
           py::arg("cmd"), py::arg("inbuf") = py::bytes(), py::arg("timeout") = 0,
           py::arg("target") = py::none());
}

}  // namespace rbdxx::python::rados
