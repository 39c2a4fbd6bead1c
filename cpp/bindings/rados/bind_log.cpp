#include <rbdxx/rados/log.hpp>

#include <memory>
#include <string>
#include <utility>

#include "../support/callbacks.hpp"
#include "../support/define.hpp"
#include "../support/errors.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

namespace log = topics::log;

// The present listener: a tuple of registration, callback and its first argument. It is in the
// instance's dict, because the garbage collector sees it there.
constexpr const char* attribute = "_log_listener";

// A registration, which any thread may drop. It is queued for the thread of callbacks, which
// destroys it.
struct Registration final : engine::Item {
    void deliver() noexcept override { delete this; }

    py::object cluster;  // weak: the cluster refers to the callback, which may refer to the cluster
    py::object mark;     // identifies this registration
};

class LogEvent final : public engine::Item {
public:
    LogEvent(std::shared_ptr<const Registration> registration, log::Form form, log::Entry&& entry)
        : registration_(std::move(registration)), form_(form), entry_(std::move(entry)) {}

    void deliver() noexcept override {
        py::object callback = py::none();
        try {
            py::object cluster = registration_->cluster();
            if (!cluster.is_none() &&
                cluster.cast<const Cluster&>().connection() == ConnectionState::connected) {
                py::object listener = py::getattr(cluster, attribute, py::none());
                if (PyTuple_CheckExact(listener.ptr()) != 0) {
                    py::tuple held = listener;
                    if (py::object(held[0]).is(registration_->mark)) {
                        callback = held[1];
                        call(callback, held[2]);
                    }
                }
            }
        } catch (...) {
            report_current(callback);
        }
        delete this;
    }

private:
    void call(const py::object& callback, const py::object& argument) const {
        if (form_ == log::Form::full) {
            callback(argument, py::bytes(entry_.line), py::bytes(entry_.channel),
                     py::bytes(entry_.name), py::bytes(entry_.who), entry_.seconds,
                     entry_.nanoseconds, entry_.sequence, py::bytes(entry_.level),
                     py::bytes(entry_.message));
        } else {
            callback(argument, py::bytes(entry_.line), py::bytes(entry_.who), entry_.seconds,
                     entry_.nanoseconds, entry_.sequence, py::bytes(entry_.level),
                     py::bytes(entry_.message));
        }
    }

    const std::shared_ptr<const Registration> registration_;
    const log::Form form_;
    const log::Entry entry_;
};

void require(const py::object& level, const py::object& callback) {
    py::module_ module = py::module_::import("rbd.rados");
    auto refuse = [&](const std::string& message) {
        py::object error = module.attr("LogicError")(message);
        throw_error(error);
    };
    if (!module.attr("MONITOR_LEVELS").contains(level)) {
        refuse("invalid monitor level " + std::string(py::str(level)));
    }
    if (!callback.is_none() && PyCallable_Check(callback.ptr()) == 0) {
        refuse("callback must be a callable function or None");
    }
}

void listen(const py::object& self, const Name& level, const py::object& callback,
            const py::object& arg, log::Form form) {
    const auto& cluster = self.cast<const Cluster&>();
    require(text(level.value), callback);
    log::Listener listener;
    py::object held = py::none();
    if (!callback.is_none()) {
        // The queue and its owner live as long as the process.
        engine::Queue* const queue = Callbacks::get().queue().get();
        std::shared_ptr<Registration> registration(
            new Registration, [queue](Registration* unused) { queue->push(unused); });
        registration->cluster = py::weakref(self);
        registration->mark = py::module_::import("builtins").attr("object")();
        held = py::make_tuple(registration->mark, callback, arg);
        listener = [registration = std::shared_ptr<const Registration>(registration), queue,
                    form](log::Entry&& entry) {
            queue->push(new LogEvent(registration, form, std::move(entry)));
        };
    }
    without_gil([&] { topics::log::listen(cluster, level, std::move(listener), form); });
    self.attr(attribute) = held;
    py::object told = py::none();
    if (!callback.is_none()) {
        told = py::make_tuple(callback, arg);
    }
    self.attr("monitor_callback") = form == log::Form::plain ? told : py::none();
    self.attr("monitor_callback2") = form == log::Form::full ? told : py::none();
}

}  // namespace

void bind_log(RadosClass& rados) {
    define(
        rados, "monitor_log",
        [](const py::object& self, const Name& level, const py::object& callback,
           const py::object& arg) { listen(self, level, callback, arg, log::Form::plain); },
        R"(Call a function for each entry of the cluster's log.

Parameters
----------
level
    The lowest level of the entries, one of `MONITOR_LEVELS`.
callback
    Called as `callback(arg, line, who, seconds, nanoseconds, sequence, level, message)` in the thread
    of callbacks. `line`, `who`, `level` and `message` are bytes. It replaces the callback that was set
    before, by `monitor_log2` too. None ends the calls.
arg
    The first argument of the callback.

Raises
------
LogicError
    There is no such level, or `callback` is not callable.

Notes
-----
Exceptions of the callback go to `sys.unraisablehook`. It is not called after `shutdown`.

Implements: rados_monitor_log)",
        py::arg("level"), py::arg("callback") = py::none(), py::arg("arg") = py::none());
    define(
        rados, "monitor_log2",
        [](const py::object& self, const Name& level, const py::object& callback,
           const py::object& arg) { listen(self, level, callback, arg, log::Form::full); },
        R"(Call a function for each entry of the cluster's log, with its channel and the sender's name.

Parameters
----------
level
    The lowest level of the entries, one of `MONITOR_LEVELS`.
callback
    Called as `callback(arg, line, channel, name, who, seconds, nanoseconds, sequence, level, message)`
    in the thread of callbacks. All but the numbers are bytes. It replaces the callback that was set
    before, by `monitor_log` too. None ends the calls.
arg
    The first argument of the callback.

Raises
------
LogicError
    There is no such level, or `callback` is not callable.

Notes
-----
Exceptions of the callback go to `sys.unraisablehook`. It is not called after `shutdown`.

Implements: rados_monitor_log2)",
        py::arg("level"), py::arg("callback") = py::none(), py::arg("arg") = py::none());
}

}  // namespace rbdxx::python::rados
