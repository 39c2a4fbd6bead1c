// A program that presents itself to the cluster as a daemon of some service.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::service {

// Texts by name, in the order given.
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Has the cluster list this client as daemon `name` of `service`, as soon as it is connected and
// for as long as it is. Throws RadosError EEXIST where the client is registered already, and
// RadosArgumentError for an empty name in `metadata`. Implements: rados_service_register
void add(const Cluster& cluster, const std::string& service, const std::string& name,
         const Pairs& metadata);

// Replaces the daemon's status. Throws as add() does. Implements: rados_service_update_status
void update(const Cluster& cluster, const Pairs& status);

}  // namespace rbdxx::rados::service
