// The cluster's log, as the monitors send it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::log {

// One entry. Texts are bytes as they come.
struct Entry {
    std::string line;  // the whole as text
    std::string channel;
    std::string name;      // "client.admin"; as channel, only where librados tells it
    std::string who;       // number and address of who wrote it
    uint64_t seconds = 0;  // since 1970
    uint64_t nanoseconds = 0;
    uint64_t sequence = 0;
    std::string level;
    std::string message;
};

// Called in librados's threads, which must not be kept waiting; must not throw but for want of
// memory, in which case the entry is lost.
using Listener = std::function<void(Entry&&)>;

// Which of the two C functions tells of entries: `full` with channel and name.
enum class Form { plain, full };

// From now on `listener` hears of entries of that level and above: "debug", "info", "warn" ... It
// replaces the one before, which is not called any more when this returns. An empty one ends it.
// Throws RadosError. Implements: rados_monitor_log, rados_monitor_log2
void listen(const Cluster& cluster, const std::string& level, Listener listener, Form form);

}  // namespace rbdxx::rados::log
