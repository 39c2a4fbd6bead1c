// Registering a program as a daemon of a service, which the cluster's status lists.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::service {

// Pairs of name and text.
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Registers this client as daemon `name` of `service`, as long as it is connected. Throws
// RadosError EEXIST if the client is registered already, and RadosArgumentError for an empty name
// in `metadata`. Implements: rados_service_register
void add(const Cluster& cluster, const std::string& service, const std::string& name,
         const Pairs& metadata);

// Replaces the daemon's status. Throws RadosArgumentError for an empty name in `status`.
// Implements: rados_service_update_status
void update(const Cluster& cluster, const Pairs& status);

}  // namespace rbdxx::rados::service
