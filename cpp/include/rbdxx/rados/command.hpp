// Commands to the cluster's daemons, as JSON text.
#pragma once

#include <string>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::command {

// Who executes a command.
struct Daemon {
    enum class Kind {
        monitor,  // `name`, or any where that is empty
        manager,  // `name`, or the active one where that is empty
        osd,      // `number`
        group     // the OSD that is primary for placement group `name` ("1.2f")
    };
    Kind kind = Kind::monitor;
    std::string name{};
    int number = 0;
};

// What a daemon answered to a command.
struct Reply {
    int result = 0;      // negative errno, or what the command returns
    std::string output;  // bytes
    std::string status;  // text for people
};

// Waits for the answer: without an end if the daemon is not there, unless the options
// rados_mon_op_timeout and rados_osd_op_timeout say otherwise. A command that fails is no error
// here. Throws MissingFunction for a manager by name where librados has no such call.
// Implements: rados_mon_command, rados_mon_command_target, rados_mgr_command,
// rados_mgr_command_target, rados_osd_command, rados_pg_command
Reply send(const Use<ClusterState>& call, const Daemon& daemon, const std::string& command,
           const std::string& input);

}  // namespace rbdxx::rados::command
