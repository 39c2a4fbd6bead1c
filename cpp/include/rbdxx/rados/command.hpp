// Commands to the cluster's daemons, as JSON texts.
#pragma once

#include <string>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::command {

// The daemon that executes a command.
struct Daemon {
    enum class Kind {
        monitor,  // the monitor `name`, or any if `name` is empty
        manager,  // the manager `name`, or the active one if `name` is empty
        osd,      // the OSD `number`
        group     // the primary OSD of placement group `name` ("1.2f")
    };
    Kind kind = Kind::monitor;
    std::string name{};
    int number = 0;
};

// The answer of a daemon to a command.
struct Reply {
    int result = 0;      // what the command returned: a negative errno if it has failed
    std::string output;  // bytes
    std::string status;  // a text for people
};

// Sends a command with `input`, and returns the daemon's answer, also that of a command that has
// failed. Without a daemon it waits without an end, unless the options rados_mon_op_timeout or
// rados_osd_op_timeout limit that. Throws MissingFunction for a manager by name if librados has no
// such call.
// Implements: rados_mon_command, rados_mon_command_target, rados_mgr_command,
// rados_mgr_command_target, rados_osd_command, rados_pg_command
Reply send(const Use<ClusterState>& call, const Daemon& daemon, const std::string& command,
           const std::string& input);

}  // namespace rbdxx::rados::command
