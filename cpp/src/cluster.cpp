#include <rbdxx/cluster.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

#include <cstdlib>

namespace rbdxx {

int ClusterState::destroy() noexcept {
    functions->rados_shutdown(raw);
    return 0;
}

std::shared_ptr<ClusterState> Cluster::state() const {
    auto state = std::atomic_load(&state_);
    if (state == nullptr) {
        throw ClosedError("cluster is closed", ClosedError::Subject::cluster);
    }
    return state;
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

Cluster Cluster::create_with_id(const char* id) {
    const abi::Functions& table = rbdxx::functions();
    abi::rados_t raw = nullptr;
    check<RadosError>(table.rados_create(&raw, id),
                      [&] { return "error creating client " + quoted(id); });
    return Cluster(state_of(table, raw));
}

void Cluster::read_config(const char* path) {
    auto call = use();
    check<RadosError>(call->rados_conf_read_file(call.get(), path), [&] {
        return "error reading configuration file " + (path ? quoted(path) : "of the default path");
    });
    // Only before the connection is made, hence by one thread.
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
    // The value is not told: it may be a key.
    check<RadosError>(call->rados_conf_set(call.get(), option.c_str(), value),
                      [&] { return "error setting option " + quoted(option); });
}

std::optional<std::string> Cluster::get(const std::string& option) const {
    auto call = use();
    std::string value;
    // Too small a buffer is ENAMETOOLONG here, where other calls say ERANGE.
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

void Cluster::connect() {
    auto call = use();
    check<RadosError>(call->rados_connect(call.get()),
                      [] { return std::string("error connecting to the cluster"); });
}

std::string Cluster::fsid() const {
    auto call = use();
    std::string text(64, '\0');
    int length = check<RadosError>(call->rados_cluster_fsid(call.get(), text.data(), text.size()),
                                   [] { return std::string("error getting the cluster's fsid"); });
    text.resize(static_cast<std::size_t>(length));
    return text;
}

uint64_t Cluster::instance_id() const {
    auto call = use();
    return call->rados_get_instance_id(call.get());
}

ClusterStatistics Cluster::statistics() const {
    auto call = use();
    abi::rados_cluster_stat_t values{};
    check<RadosError>(call->rados_cluster_stat(call.get(), &values),
                      [] { return std::string("error getting the cluster's statistics"); });
    return {values.kb, values.kb_used, values.kb_avail, values.num_objects};
}

std::string Cluster::addresses() const {
    auto call = use();
    char* raw = nullptr;
    check<RadosError>(call->rados_getaddrs(call.get(), &raw),
                      [] { return std::string("error getting the client's addresses"); });
    std::string text = raw != nullptr ? raw : "";
    call->rados_buffer_free(raw);
    return text;
}

void Cluster::wait_for_latest_osdmap() const {
    auto call = use();
    check<RadosError>(call->rados_wait_for_latest_osdmap(call.get()),
                      [] { return std::string("error waiting for the latest OSD map"); });
}

void Cluster::blocklist_add(const std::string& address, uint32_t seconds) const {
    auto call = use();
    std::string writable = address;
    const auto& functions = call.functions();
    int result = functions.rados_blocklist_add
                     ? functions.rados_blocklist_add(call.get(), writable.data(), seconds)
                     : functions.rados_blacklist_add(call.get(), writable.data(), seconds);
    check<RadosError>(result, [&] { return "error blocklisting " + quoted(address); });
}

CommandReply Cluster::mon_command(const std::string& command, const std::string& input,
                                  const std::optional<std::string>& target) const {
    auto call = use();
    const char* commands[] = {command.c_str()};
    char* output = nullptr;
    char* status = nullptr;
    std::size_t output_size = 0;
    std::size_t status_size = 0;
    CommandReply reply;
    reply.result =
        target ? call->rados_mon_command_target(call.get(), target->c_str(), commands, 1,
                                                input.data(), input.size(), &output, &output_size,
                                                &status, &status_size)
               : call->rados_mon_command(call.get(), commands, 1, input.data(), input.size(),
                                         &output, &output_size, &status, &status_size);
    if (output != nullptr) {
        reply.output.assign(output, output_size);
        call->rados_buffer_free(output);
    }
    if (status != nullptr) {
        reply.status.assign(status, status_size);
        call->rados_buffer_free(status);
    }
    return reply;
}

std::vector<std::string> Cluster::list_pools() const {
    auto call = use();
    std::string buffer;
    int used = check<RadosError>(
        until_sized(std::size_t{1024},
                    [&](std::size_t& size) {
                        buffer.assign(size, '\0');
                        int needed =
                            call->rados_pool_list(call.get(), buffer.data(), buffer.size());
                        if (needed > 0 && static_cast<std::size_t>(needed) > size) {
                            size = static_cast<std::size_t>(needed);
                            return -ERANGE;
                        }
                        return needed;
                    }),
        [] { return std::string("error listing pools"); });
    return split_names(buffer, static_cast<std::size_t>(used));
}

int64_t Cluster::lookup_pool(const std::string& name) const {
    auto call = use();
    return check<RadosError>(call->rados_pool_lookup(call.get(), name.c_str()),
                             [&] { return "error looking up pool " + quoted(name); });
}

std::string Cluster::lookup_pool_name(int64_t id) const {
    auto call = use();
    std::string name;
    check<RadosError>(until_sized(std::size_t{256},
                                  [&](std::size_t& size) {
                                      name.assign(size, '\0');
                                      return call->rados_pool_reverse_lookup(call.get(), id,
                                                                             name.data(), size);
                                  }),
                      [&] { return "error looking up pool " + std::to_string(id); });
    name.resize(std::char_traits<char>::length(name.c_str()));
    return name;
}

void Cluster::create_pool(const std::string& name, std::optional<uint8_t> crush_rule) const {
    auto call = use();
    int result =
        crush_rule ? call->rados_pool_create_with_crush_rule(call.get(), name.c_str(), *crush_rule)
                   : call->rados_pool_create(call.get(), name.c_str());
    check<RadosError>(result, [&] { return "error creating pool " + quoted(name); });
}

void Cluster::delete_pool(const std::string& name) const {
    auto call = use();
    check<RadosError>(call->rados_pool_delete(call.get(), name.c_str()),
                      [&] { return "error deleting pool " + quoted(name); });
}

}  // namespace rbdxx
