// A connection to a Ceph cluster: its configuration, its life, and who this client is.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/handle.hpp>

namespace rbdxx {

namespace engine {
class Lane;
}

// How far a connection has come.
enum class ConnectionState { configuring, connecting, connected, shut_down };

// The word for it, as messages and the Python module have it.
const char* name_of(ConnectionState state) noexcept;

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
    std::atomic<ConnectionState> connection{ConnectionState::configuring};
    std::string client;  // the full name ("client.admin"), where it is known
    std::string config;  // the configuration file that was read, where it is known
    // How many others use the connection, images for one, whose calls no lane counts.
    std::atomic<int> others{0};
    // The asynchronous calls on objects, from the first of them that must not wait on.
    std::once_flag lane_flag;
    std::shared_ptr<engine::Lane> lane;
    // What hears of the cluster's log, for as long as librados may call it.
    std::mutex log_mutex;
    std::shared_ptr<const void> log_listener;
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
    // With the configuration of a client that this process has already: a CephContext, as
    // rados_create_with_context takes it.
    static Cluster create_with_context(abi::rados_config_t context);

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
    // Gives the connection up, for every copy: later calls throw ClosedError, and so do calls on
    // objects through its I/O contexts. Open images stay usable: the connection itself ends with
    // the last share.
    void shutdown() noexcept;
    bool closed() const noexcept { return std::atomic_load(&state_) == nullptr; }
    ConnectionState connection() const noexcept;
    // Throws ClosedError unless the connection is in that state.
    void require(ConnectionState wanted) const;

    // What follows asks a connected cluster, and waits for its answer.

    std::string fsid() const;       // the cluster's UUID
    uint64_t instance_id() const;   // this client's, unlike any other's
    std::string addresses() const;  // of this client, as the cluster sees it
    // Afterwards this client knows of every pool that was made before the call.
    void wait_for_latest_osdmap() const;
    // Fences a client address off for `seconds` (0: the cluster's default).
    void blocklist_add(const std::string& address, uint32_t seconds) const;
    // The answer of one monitor to a ping: JSON text. Needs no connection, only a configuration.
    std::string ping_monitor(const std::string& monitor) const;

    // Keeps the connection usable while the result lives: for calls of the C functions.
    Use<ClusterState> use() const { return Use<ClusterState>(state()); }
    // As use(); throws ClosedError unless connected.
    Use<ClusterState> connected() const;
    // Throws ClosedError after shutdown().
    std::shared_ptr<ClusterState> state() const;

private:
    explicit Cluster(std::shared_ptr<ClusterState> state) : state_(std::move(state)) {}
    std::shared_ptr<ClusterState> state_;
};

}  // namespace rbdxx
