#include <rbdxx/engine.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/rados/cluster.hpp>
#include <rbdxx/sized.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <sstream>

#include "../conf.hpp"

namespace rbdxx {

int ClusterState::destroy() noexcept {
    functions->rados_shutdown(raw);
    return 0;
}

namespace {

// The calls on objects that the lane lets their callers submit use one part in `share` of librados'
// budget. The rest is for calls that are not counted.
constexpr uint64_t share = 4;

// Returns a share of an option's number; 0 if the option is 0 or not a number.
uint64_t share_of(const ClusterState& cluster, const char* name) {
    const double number = conf::number(*cluster.functions, cluster.raw, name).value_or(0);
    return number > 0 ? std::max(static_cast<uint64_t>(number) / share, uint64_t{1}) : 0;
}

}  // namespace

const std::shared_ptr<engine::Lane>& ClusterState::lane() {
    std::call_once(lane_flag_, [&] {
        lane_ = std::make_shared<engine::Lane>(share_of(*this, "objecter_inflight_ops"),
                                               share_of(*this, "objecter_inflight_op_bytes"));
    });
    return lane_;
}

const char* name_of(ConnectionState state) noexcept {
    switch (state) {
        case ConnectionState::connected:
            return "connected";
        case ConnectionState::shut_down:
            return "shutdown";
        case ConnectionState::configuring:
        case ConnectionState::connecting:
            break;
    }
    return "configuring";
}

namespace {

// What messages add about a connection that cannot be made.
const std::string section = "; see \"If it does not connect\" in the manual, docs/start.md";

[[noreturn]] void refuse(ConnectionState state) {
    throw ClosedError("the connection is in state " + std::string(name_of(state)) +
                          ", in which this call is not possible",
                      ClosedError::Subject::cluster);
}

}  // namespace

std::shared_ptr<ClusterState> Cluster::state() const {
    auto state = std::atomic_load(&state_);
    if (state == nullptr) {
        refuse(ConnectionState::shut_down);
    }
    return state;
}

ConnectionState Cluster::connection() const noexcept {
    auto state = std::atomic_load(&state_);
    return state == nullptr ? ConnectionState::shut_down : state->connection.load();
}

void Cluster::require(ConnectionState wanted) const {
    ConnectionState now = connection();
    if (now != wanted) {
        refuse(now);
    }
}

Use<ClusterState> Cluster::connected() const {
    auto call = use();
    ConnectionState now = call.state().connection.load();
    if (now != ConnectionState::connected) {
        refuse(now);
    }
    return call;
}

void Cluster::shutdown() noexcept {
    auto state = std::atomic_exchange(&state_, std::shared_ptr<ClusterState>());
    if (state != nullptr) {
        state->connection.store(ConnectionState::shut_down);
    }
}

Version rados_version() {
    Version version;
    functions().rados_version(&version.major, &version.minor, &version.extra);
    return version;
}

namespace {

std::shared_ptr<ClusterState> state_of(const abi::Functions& table, abi::rados_t raw) {
    return owned([&] { return std::make_shared<ClusterState>(table, raw); },
                 [&] { table.rados_shutdown(raw); });
}

}  // namespace

Cluster Cluster::create(const std::string& cluster_name, const std::string& name, uint64_t flags) {
    const abi::Functions& table = rbdxx::functions();
    abi::rados_t raw = nullptr;
    check<RadosError>(table.rados_create2(&raw, cluster_name.c_str(), name.c_str(), flags),
                      [&] { return "error creating client " + quoted(name); });
    auto state = state_of(table, raw);
    state->client = name;
    return Cluster(std::move(state));
}

Cluster Cluster::create_with_context(abi::rados_config_t context) {
    const abi::Functions& table = rbdxx::functions();
    abi::rados_t raw = nullptr;
    check<RadosError>(table.rados_create_with_context(&raw, context), [] {
        return std::string("error creating a client with the context of another");
    });
    return Cluster(state_of(table, raw));
}

void Cluster::read_config(const char* path) {
    auto call = use();
    check<RadosError>(call->rados_conf_read_file(call.get(), path), [&] {
        return "error reading configuration file " +
               (path ? quoted(path) : "in the default places") + section;
    });
    // Only one thread configures the client, before it connects.
    const char* searched = std::getenv("CEPH_CONF");
    state_->config = path != nullptr ? path : searched != nullptr ? searched : "";
}

void Cluster::parse_environment(const char* variable) {
    auto call = use();
    check<RadosError>(call->rados_conf_parse_env(call.get(), variable), [&] {
        return "error reading options from " + std::string(variable ? variable : "CEPH_ARGS");
    });
}

std::vector<std::string> Cluster::parse_arguments(const std::vector<std::string>& arguments) {
    auto call = use();
    std::vector<const char*> given;
    given.reserve(arguments.size());
    for (const std::string& argument : arguments) {
        given.push_back(argument.c_str());
    }
    std::vector<const char*> left(given.size(), nullptr);
    check<RadosError>(call->rados_conf_parse_argv_remainder(
                          call.get(), static_cast<int>(given.size()), given.data(), left.data()),
                      [] { return std::string("error reading options from arguments"); });
    std::vector<std::string> others;
    for (const char* argument : left) {
        if (argument != nullptr) {
            others.emplace_back(argument);
        }
    }
    return others;
}

void Cluster::set(const std::string& option, const char* value) {
    auto call = use();
    // The message leaves the value out, because it may be a key.
    check<RadosError>(call->rados_conf_set(call.get(), option.c_str(), value),
                      [&] { return "error setting option " + quoted(option); });
}

std::optional<std::string> Cluster::get(const std::string& option) const {
    auto call = use();
    std::string value;
    // This call returns ENAMETOOLONG for a small buffer, where other calls return ERANGE.
    int result = until_sized(std::size_t{256}, [&](std::size_t& size) {
        value.assign(size, '\0');
        int answer = call->rados_conf_get(call.get(), option.c_str(), value.data(), size);
        return answer == -ENAMETOOLONG ? -ERANGE : answer;
    });
    if (result == -ENOENT) {
        return std::nullopt;
    }
    check<RadosError>(result, [&] { return "error getting option " + quoted(option); });
    value.resize(std::char_traits<char>::length(value.c_str()));
    return value;
}

namespace {

void set_at_most(const abi::Functions& functions, abi::rados_t cluster, const char* name,
                 double most) {
    const auto present = conf::number(functions, cluster, name);
    if (present && *present > most) {
        std::ostringstream stream;
        stream.imbue(std::locale::classic());
        stream << most;
        functions.rados_conf_set(cluster, name, stream.str().c_str());
    }
}

}  // namespace

void look_for_restarted_osds(const abi::Functions& functions, abi::rados_t cluster) noexcept {
    if (!functions.rados_conf_set) {
        return;
    }
    try {
        const auto limit = conf::number(functions, cluster, "rados_osd_op_timeout");
        if (limit && *limit > 0) {
            // Then each operation is checked once before its time ends, and is old enough.
            constexpr double shortest = 0.1;
            const double interval = std::max(*limit / 2, shortest);
            set_at_most(functions, cluster, "objecter_tick_interval", interval);
            set_at_most(functions, cluster, "objecter_timeout", interval / 2);
        }
    } catch (const std::exception&) {  // out of memory
    }
}

void Cluster::connect() {
    auto call = use();
    auto& connection = call.state().connection;
    ConnectionState before = ConnectionState::configuring;
    if (!connection.compare_exchange_strong(before, ConnectionState::connecting)) {
        refuse(before);
    }
    look_for_restarted_osds(call.functions(), call.get());
    const int result = call->rados_connect(call.get());
    before = ConnectionState::connecting;
    // If shutdown() was called meanwhile, that state remains.
    connection.compare_exchange_strong(
        before, result < 0 ? ConnectionState::configuring : ConnectionState::connected);
    check<RadosError>(result, [] { return "error connecting to the cluster" + section; });
}

std::string Cluster::fsid() const {
    auto call = connected();
    std::string text(64, '\0');
    int length = check<RadosError>(call->rados_cluster_fsid(call.get(), text.data(), text.size()),
                                   [] { return std::string("error getting the cluster's fsid"); });
    text.resize(static_cast<std::size_t>(length));
    return text;
}

uint64_t Cluster::instance_id() const {
    auto call = connected();
    return call->rados_get_instance_id(call.get());
}

std::string Cluster::addresses() const {
    auto call = connected();
    char* raw = nullptr;
    check<RadosError>(call->rados_getaddrs(call.get(), &raw),
                      [] { return std::string("error getting the client's addresses"); });
    std::string text = raw != nullptr ? raw : "";
    call->rados_buffer_free(raw);
    return text;
}

void Cluster::wait_for_latest_osdmap() const {
    auto call = connected();
    check<RadosError>(call->rados_wait_for_latest_osdmap(call.get()),
                      [] { return std::string("error waiting for the latest OSD map"); });
}

void Cluster::blocklist_add(const std::string& address, uint32_t seconds) const {
    auto call = connected();
    std::string writable = address;
    const auto& functions = call.functions();
    int result = functions.rados_blocklist_add
                     ? functions.rados_blocklist_add(call.get(), writable.data(), seconds)
                     : functions.rados_blacklist_add(call.get(), writable.data(), seconds);
    check<RadosError>(result, [&] { return "error blocklisting " + quoted(address); });
}

std::string Cluster::ping_monitor(const std::string& monitor) const {
    auto call = use();
    char* raw = nullptr;
    std::size_t size = 0;
    check<RadosError>(call->rados_ping_monitor(call.get(), monitor.c_str(), &raw, &size),
                      [&] { return "error pinging monitor " + quoted(monitor); });
    std::string answer(raw != nullptr ? raw : "", raw != nullptr ? size : 0);
    call->rados_buffer_free(raw);
    return answer;
}

}  // namespace rbdxx
