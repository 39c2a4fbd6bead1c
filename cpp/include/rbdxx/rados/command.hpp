// Commands to the cluster's daemons, as JSON text.
#pragma once

#include <optional>
#include <string>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::command {

// What a daemon answered to a command.
struct Reply {
    int result = 0;      // negative errno, or 0
    std::string output;  // bytes
    std::string status;  // text for people
};

// `command` is JSON text; `target` names one monitor, nothing is any.
// Implements: rados_mon_command, rados_mon_command_target
Reply mon(const Cluster& cluster, const std::string& command, const std::string& input,
          const std::optional<std::string>& target);

}  // namespace rbdxx::rados::command
