#include <rbdxx/engine.hpp>
#include <rbdxx/rados/command.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "../support/buffer.hpp"
#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "../support/work.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

using Clock = std::chrono::steady_clock;
using topics::command::Daemon;
using topics::command::Reply;

// A command under way in its own thread, which may wait for the daemon without a limit.
class Sent final : public engine::Work {
public:
    Sent(Use<ClusterState> call, std::function<Reply(const Use<ClusterState>&)> send)
        : Work(Callbacks::owner()), call_(std::move(call)), send_(std::move(send)) {}
    ~Sent() override {
        without_gil([this] {
            wait();
            // The last use of the connection ends the connection.
            call_.reset();
        });
    }

    void submit() {
        begin_in_thread([this] { run(); });
    }

    // Only for a command that has ended.
    Reply reply() {
        if (failure_) {
            std::rethrow_exception(failure_);
        }
        return std::move(reply_);
    }

    bool forked() const noexcept { return generation_ != fork_generation(); }
    void deliver() noexcept override { delete this; }

private:
    void run() {
        Reply reply;
        std::exception_ptr failure;
        try {
            UnderWay counted;
            reply = send_(*call_);
        } catch (...) {
            failure = std::current_exception();
        }
        end([&] {
            reply_ = std::move(reply);
            failure_ = failure;
        });
    }

    std::optional<Use<ClusterState>> call_;
    const std::function<Reply(const Use<ClusterState>&)> send_;
    const unsigned generation_ = fork_generation();
    Reply reply_;
    std::exception_ptr failure_;
};

// Returns the time that a command may take; nullopt means no limit.
std::optional<Clock::duration> limit_of(const py::object& timeout) {
    if (timeout.is_none()) {
        return std::nullopt;
    }
    const double seconds = PyFloat_AsDouble(timeout.ptr());
    if (PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    if (!(seconds >= 0)) {
        throw py::value_error("timeout must be at least 0 seconds, not " +
                              std::string(py::str(timeout)));
    }
    if (seconds == 0) {
        return std::nullopt;
    }
    // In effect no limit, and its number of nanoseconds does not overflow.
    constexpr double most = 1e9;
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(std::min(seconds, most)));
}

// Sends a command that the daemon may never answer. A signal ends the wait for the answer too.
Reply send_within(std::optional<Clock::duration> limit, Use<ClusterState> call,
                  std::function<Reply(const Use<ClusterState>&)> send) {
    const auto last = limit ? Clock::now() + *limit : Clock::time_point::max();
    auto sent = std::make_unique<Sent>(std::move(call), std::move(send));
    sent->submit();
    for (;;) {
        const auto left = std::clamp<Clock::duration>(last - Clock::now(), Clock::duration::zero(),
                                                      signal_interval);
        if (without_gil([&] { return sent->wait_for(left); })) {
            return sent->reply();
        }
        try {
            check_signals();
        } catch (...) {
            if (!sent->forked()) {
                abandon(std::move(sent));
            } else {
                sent.release();  // NOLINT(bugprone-unused-return-value): belongs to the parent
            }
            throw;
        }
        if (sent->forked()) {
            // A signal handler forked a child process, which has no thread that would complete
            // this.
            sent.release();  // NOLINT(bugprone-unused-return-value): belongs to the parent
            throw ForkedError("the command was sent before fork() and ends in the parent process",
                              ClosedError::Subject::cluster);
        }
        if (Clock::now() >= last) {
            if (!sent->abandon()) {
                return sent->reply();  // the answer has just arrived
            }
            sent.release();  // NOLINT(bugprone-unused-return-value): the callback thread owns it
            Callbacks::serve();
            return {-ETIMEDOUT, {}, "the daemon did not answer in time"};
        }
    }
}

py::object send(const Cluster& self, Daemon daemon, const Name& command, const py::object& input,
                const py::object& timeout) {
    const std::optional<Clock::duration> limit = limit_of(timeout);
    // Copied, because an abandoned command still uses it.
    Buffer buffer(input, Buffer::Access::read);
    std::string bytes(buffer.data(), buffer.size());
    auto call = self.connected();
    auto sending = [daemon = std::move(daemon), command = command.value,
                    bytes = std::move(bytes)](const Use<ClusterState>& use) {
        return topics::command::send(use, daemon, command, bytes);
    };
    const Reply reply = send_within(limit, std::move(call), std::move(sending));
    return py::make_tuple(reply.result, py::bytes(reply.output), text(reply.status));
}

// Returns the name of a daemon. A number is a name too: some daemons are named so.
std::string target_of(const py::object& target) {
    if (target.is_none()) {
        return {};
    }
    return convert_name(PyLong_Check(target.ptr()) != 0 ? py::str(target) : target);
}

// Converts to the int that the C API takes.
int number_of(int64_t osd) {
    if (osd < INT_MIN || osd > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "osdid must fit into 32 bits");
        throw py::error_already_set();
    }
    return static_cast<int>(osd);
}

}  // namespace

void bind_command(RadosClass& rados) {
    define(
        rados, "mon_command",
        [](const Cluster& self, const Name& cmd, const py::object& inbuf, const py::object& timeout,
           const py::object& target) {
            return send(self, {Daemon::Kind::monitor, target_of(target)}, cmd, inbuf, timeout);
        },
        R"(Send a command to a monitor, and wait for its answer.

Parameters
----------
cmd
    The command, a JSON object as text.
inbuf
    Input of the command: any buffer.
timeout
    The number of seconds to wait; 0 or None leaves that to the option `rados_mon_op_timeout`.
target
    The name of one monitor; None means any.

Returns
-------
A tuple: 0 or a negative error number, the output in bytes, and a status text for people. If no answer
came in time, the number is -ETIMEDOUT; the monitor may still execute the command.

Examples
--------
>>> import json
>>> code, output, status = cluster.mon_command(json.dumps({"prefix": "fsid", "format": "json"}))
>>> code, json.loads(output)["fsid"] == cluster.get_fsid()
(0, True)

Implements: rados_mon_command, rados_mon_command_target)",
        py::arg("cmd"), py::arg("inbuf") = py::bytes(), py::arg("timeout") = 0,
        py::arg("target") = py::none());
    define(
        rados, "mgr_command",
        [](const Cluster& self, const Name& cmd, const py::object& inbuf, const py::object& timeout,
           const py::object& target) {
            return send(self, {Daemon::Kind::manager, target_of(target)}, cmd, inbuf, timeout);
        },
        R"(Send a command to a manager, and wait for its answer.

Parameters
----------
cmd
    The command, a JSON object as text.
inbuf
    Input of the command: any buffer.
timeout
    The number of seconds to wait; 0 or None leaves that to the option `rados_mon_op_timeout`.
target
    The name of one manager; None means the active one.

Returns
-------
A tuple, as that of `mon_command`.

Notes
-----
Without a manager, librados waits without an end: pass a `timeout`. A `target` needs librados of Ceph 16;
an older one raises `FunctionNotSupported`.

Implements: rados_mgr_command, rados_mgr_command_target)",
        py::arg("cmd"), py::arg("inbuf") = py::bytes(), py::arg("timeout") = 0,
        py::arg("target") = py::none());
    define(
        rados, "osd_command",
        [](const Cluster& self, const I64& osdid, const Name& cmd, const py::object& inbuf,
           const py::object& timeout) {
            return send(self, {Daemon::Kind::osd, {}, number_of(osdid)}, cmd, inbuf, timeout);
        },
        R"(Send a command to an OSD, and wait for its answer.

Parameters
----------
osdid
    The number of the OSD.
cmd
    The command, a JSON object as text.
inbuf
    Input of the command: any buffer.
timeout
    The number of seconds to wait; 0 or None leaves that to the option `rados_osd_op_timeout`.

Returns
-------
A tuple, as that of `mon_command`.

Implements: rados_osd_command)",
        py::arg("osdid"), py::arg("cmd"), py::arg("inbuf") = py::bytes(), py::arg("timeout") = 0);
    define(
        rados, "pg_command",
        [](const Cluster& self, const Name& pgid, const Name& cmd, const py::object& inbuf,
           const py::object& timeout) {
            return send(self, {Daemon::Kind::group, pgid.value}, cmd, inbuf, timeout);
        },
        R"(Send a command to the primary OSD of a placement group, and wait for its answer.

Parameters
----------
pgid
    The id of the placement group, such as "1.2f".
cmd
    The command, a JSON object as text.
inbuf
    Input of the command: any buffer.
timeout
    The number of seconds to wait; 0 or None leaves that to the option `rados_osd_op_timeout`.

Returns
-------
A tuple, as that of `mon_command`.

Implements: rados_pg_command)",
        py::arg("pgid"), py::arg("cmd"), py::arg("inbuf") = py::bytes(), py::arg("timeout") = 0);
}

}  // namespace rbdxx::python::rados
