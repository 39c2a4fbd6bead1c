// A connection to a Ceph cluster, and what block device users ask of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/handle.hpp>

namespace rbdxx {

// What the copies of a Cluster share. Shut down with the last share, never earlier: images and I/O
// contexts hang without their connection.
struct ClusterState final : Handle {
    ClusterState(const abi::Functions& table, abi::rados_t cluster)
        : functions(&table), raw(cluster) {}
    ~ClusterState() override { close(); }
    std::string describe() const override { return "cluster"; }
    ClosedError::Subject subject() const override { return ClosedError::Subject::cluster; }
    int destroy() noexcept override;
    void release() noexcept override {}

    const abi::Functions* const functions;
    const abi::rados_t raw;
    std::string client;  // the full name ("client.admin"), where it is known
    std::string config;  // the configuration file that was read, where it is known
};

struct ClusterStatistics {
    uint64_t kb = 0;  // KiB, as the next two
    uint64_t kb_used = 0;
    uint64_t kb_avail = 0;
    uint64_t num_objects = 0;
};

// What a monitor answered to a command.
struct CommandReply {
    int result = 0;      // negative errno, or 0
    std::string output;  // bytes
    std::string status;  // text for people
};

// The version of the loaded librados.
Version rados_version();

// A RADOS client. Copies share one connection, and images and I/O contexts own a share of it: it
// ends when the last share is given up, in whatever order. Thread-safe.
class Cluster {
public:
    // `name` is the full client name ("client.admin"). Nothing is read or connected yet.
    static Cluster create(const std::string& cluster_name, const std::string& name,
                          uint64_t flags = 0);
    // As create(), with the client's id ("admin"); null for the default.
    static Cluster create_with_id(const char* id);

    // Before connect(), in one thread: what configures the client.

    // Reads a configuration file; null searches as librados does, CEPH_CONF included.
    void read_config(const char* path);
    // Reads options from the environment variable; null is CEPH_ARGS.
    void parse_environment(const char* variable);
    // Takes the options it knows from `arguments` and gives the others back.
    std::vector<std::string> parse_arguments(const std::vector<std::string>& arguments);
    // The value is copied. Throws RadosError ENOENT for an option that is not known.
    void set(const std::string& option, const char* value);
    void set(const std::string& option, const std::string& value) { set(option, value.c_str()); }
    // The option's value, or nothing for an option that is not known. For the caller to wipe, where
    // it is a key.
    std::optional<std::string> get(const std::string& option) const;

    // Once only. Waits for the monitors, at most client_mount_timeout seconds, an option.
    void connect();
    // Gives this share of the connection up; later calls throw ClosedError.
    void shutdown() noexcept { std::atomic_exchange(&state_, std::shared_ptr<ClusterState>()); }
    bool closed() const noexcept { return std::atomic_load(&state_) == nullptr; }

    // What follows asks a connected cluster, and waits for its answer.

    std::string fsid() const;      // the cluster's UUID
    uint64_t instance_id() const;  // this client's, unlike any other's
    ClusterStatistics statistics() const;
    std::string addresses() const;  // of this client, as the cluster sees it
    // Afterwards this client knows of every pool that was made before the call.
    void wait_for_latest_osdmap() const;
    // Fences a client address off for `seconds` (0: the cluster's default).
    void blocklist_add(const std::string& address, uint32_t seconds) const;
    // `command` is JSON text; `target` names one monitor, nothing is any.
    CommandReply mon_command(const std::string& command, const std::string& input,
                             const std::optional<std::string>& target) const;

    std::vector<std::string> list_pools() const;
    int64_t lookup_pool(const std::string& name) const;  // throws RadosError ENOENT
    std::string lookup_pool_name(int64_t id) const;      // throws RadosError ENOENT
    // `crush_rule`: the rule's number; nothing for the cluster's default.
    void create_pool(const std::string& name,
                     std::optional<uint8_t> crush_rule = std::nullopt) const;
    // With all that is in it. Throws RadosError EPERM where the monitors forbid it.
    void delete_pool(const std::string& name) const;

    // Keeps the connection usable while the result lives: for calls of the C functions.
    Use<ClusterState> use() const { return Use<ClusterState>(state()); }
    // Throws ClosedError after shutdown().
    std::shared_ptr<ClusterState> state() const;

private:
    explicit Cluster(std::shared_ptr<ClusterState> state) : state_(std::move(state)) {}
    std::shared_ptr<ClusterState> state_;
};

}  // namespace rbdxx
