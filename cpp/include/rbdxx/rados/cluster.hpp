// A connection to a Ceph cluster: its configuration, its lifetime, and the identity of the client.
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

// Returns the state's name, as messages and the Python module show it.
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
    std::string client;  // the full name ("client.admin"), if it is known
    std::string config;  // the path of the configuration file that was read, if it is known
    // The number of others, such as images, that use the connection, and whose calls the lane does
    // not count.
    std::atomic<int> others{0};
    // Counts the calls on objects, and submits those whose caller must not wait. Only for a
    // connection that is open.
    const std::shared_ptr<engine::Lane>& lane();
    // The listener of the cluster's log, kept as long as librados may call it.
    std::mutex log_mutex;
    std::shared_ptr<const void> log_listener;

private:
    std::once_flag lane_flag_;
    std::shared_ptr<engine::Lane> lane_;
};

// Returns the version of the loaded librados. Throws LibraryNotFound.
Version rados_version();

// A RADOS client. Copies share one connection, and images and I/O contexts own a share of it: the
// connection ends when the last share is dropped, in any order. Thread-safe.
class Cluster {
public:
    // Creates a client. `name` is its full name ("client.admin"). Reads no configuration and does
    // not connect. Throws RadosError and LibraryNotFound. Implements: rados_create2
    static Cluster create(const std::string& cluster_name, const std::string& name,
                          uint64_t flags = 0);
    // Creates a client with the configuration of another client of this process, a CephContext.
    // Throws RadosError. Implements: rados_create_with_context
    static Cluster create_with_context(abi::rados_config_t context);

    // The next calls configure the client. They are made before connect(), by one thread.

    // Reads a configuration file. For null, librados searches for one, with CEPH_CONF first. Throws
    // RadosError ENOENT if there is no such file. Implements: rados_conf_read_file
    void read_config(const char* path);
    // Reads options from an environment variable, CEPH_ARGS for null. Throws RadosError.
    // Implements: rados_conf_parse_env
    void parse_environment(const char* variable);
    // Takes the options that librados knows from `arguments`. Returns the other arguments. Throws
    // RadosError. Implements: rados_conf_parse_argv_remainder
    std::vector<std::string> parse_arguments(const std::vector<std::string>& arguments);
    // Sets an option. Throws RadosError: ENOENT for an unknown option, EINVAL for a value that it
    // cannot have. Implements: rados_conf_set
    void set(const std::string& option, const char* value);
    void set(const std::string& option, const std::string& value) { set(option, value.c_str()); }
    // Returns an option's value, or nothing for an unknown option. If the value is a key, the
    // caller should overwrite it. Throws RadosError. Implements: rados_conf_get
    std::optional<std::string> get(const std::string& option) const;

    // Connects, once only. Waits for the monitors for at most client_mount_timeout seconds, which
    // is an option. Throws RadosError: ETIMEDOUT if no monitor has answered, ENOENT if the
    // configuration names no monitor or there is no keyring, EACCES if the monitors refuse the key.
    // Throws ClosedError if it is connected already. Implements: rados_connect
    void connect();
    // Shuts the connection down for every copy: later calls throw ClosedError, and so do calls on
    // objects through its I/O contexts. Open images stay usable, because the connection itself ends
    // with the last share.
    void shutdown() noexcept;
    // Returns whether shutdown() was called.
    bool closed() const noexcept { return std::atomic_load(&state_) == nullptr; }
    // Returns the state of the connection.
    ConnectionState connection() const noexcept;
    // Throws ClosedError unless the connection is in that state.
    void require(ConnectionState wanted) const;

    // The next calls need a connection and wait for the cluster's answer. They throw ClosedError
    // without a connection, and RadosError if they fail.

    // Returns the cluster's UUID. Implements: rados_cluster_fsid
    std::string fsid() const;
    // Returns this client's number, which no other client has. Implements: rados_get_instance_id
    uint64_t instance_id() const;
    // Returns this client's addresses, as the cluster sees them. Implements: rados_getaddrs
    std::string addresses() const;
    // Waits until this client knows of every pool that was created before the call.
    // Implements: rados_wait_for_latest_osdmap
    void wait_for_latest_osdmap() const;
    // Blocks the client with an address for `seconds`, or for the cluster's default if 0.
    // Implements: rados_blocklist_add, rados_blacklist_add
    void blocklist_add(const std::string& address, uint32_t seconds) const;
    // Returns a monitor's answer to a ping, a JSON text. Needs a configuration, but no connection.
    // Implements: rados_ping_monitor
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

// Makes librados notice restarted OSDs if operations have a time limit, rados_osd_op_timeout. It
// asks the monitors for a new map only for an operation that is older than objecter_timeout (10 s),
// which it checks each objecter_tick_interval (5 s). An operation whose time ends before that would
// never reach the cluster again. Cluster::connect() calls this, and so does opening an image,
// because another library may have connected.
void look_for_restarted_osds(const abi::Functions& functions, abi::rados_t cluster) noexcept;

}  // namespace rbdxx
