// The cluster's log, as the monitors send it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <rbdxx/rados/cluster.hpp>

namespace rbdxx::rados::log {

// One entry of the log. The texts are bytes, as librados passes them.
struct Entry {
    std::string line;      // the whole entry as one text
    std::string channel;   // with Form::full only
    std::string name;      // of the sender, such as "client.admin"; with Form::full only
    std::string who;       // number and address of the sender
    uint64_t seconds = 0;  // since 1970
    uint64_t nanoseconds = 0;
    uint64_t sequence = 0;
    std::string level;
    std::string message;
};

// What is called for an entry, in librados's threads. It must return soon, and throw nothing but
// std::bad_alloc; the entry is lost then.
using Listener = std::function<void(Entry&&)>;

// Which of the two C functions passes the entries: `full` with channel and name.
enum class Form { plain, full };

// Calls `listener` for every entry of `level` ("debug", "info", "warn" ...) and above. It replaces
// the previous listener, which is not called after this returns; an empty one ends the calls.
// Throws RadosError EINVAL for an unknown level. Implements: rados_monitor_log, rados_monitor_log2
void listen(const Cluster& cluster, const std::string& level, Listener listener, Form form);

}  // namespace rbdxx::rados::log
