#include <rbdxx/rados/pool.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::rados::pool {

std::vector<std::string> list(const Cluster& cluster) {
    auto call = cluster.connected();
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

std::optional<int64_t> find(const Cluster& cluster, const std::string& name) {
    auto call = cluster.connected();
    const int64_t id = call->rados_pool_lookup(call.get(), name.c_str());
    if (id == -ENOENT) {
        return std::nullopt;
    }
    return check<RadosError>(id, [&] { return "error looking up pool " + quoted(name); });
}

std::optional<std::string> name_of(const Cluster& cluster, int64_t id) {
    auto call = cluster.connected();
    std::string name;
    const int result = until_sized(std::size_t{256}, [&](std::size_t& size) {
        name.assign(size, '\0');
        return call->rados_pool_reverse_lookup(call.get(), id, name.data(), size);
    });
    if (result == -ENOENT) {
        return std::nullopt;
    }
    check<RadosError>(result, [&] { return "error looking up pool " + std::to_string(id); });
    name.resize(std::char_traits<char>::length(name.c_str()));
    return name;
}

void create(const Cluster& cluster, const std::string& name, std::optional<uint8_t> crush_rule,
            std::optional<uint64_t> auid) {
    auto call = cluster.connected();
    int result = 0;
    if (auid && crush_rule) {
        result = call->rados_pool_create_with_all(call.get(), name.c_str(), *auid, *crush_rule);
    } else if (auid) {
        result = call->rados_pool_create_with_auid(call.get(), name.c_str(), *auid);
    } else if (crush_rule) {
        result = call->rados_pool_create_with_crush_rule(call.get(), name.c_str(), *crush_rule);
    } else {
        result = call->rados_pool_create(call.get(), name.c_str());
    }
    check<RadosError>(result, [&] { return "error creating pool " + quoted(name); });
}

void remove(const Cluster& cluster, const std::string& name) {
    auto call = cluster.connected();
    check<RadosError>(call->rados_pool_delete(call.get(), name.c_str()),
                      [&] { return "error deleting pool " + quoted(name); });
}

int64_t base_tier(const Cluster& cluster, int64_t id) {
    auto call = cluster.connected();
    int64_t base = 0;
    check<RadosError>(call->rados_pool_get_base_tier(call.get(), id, &base),
                      [&] { return "error getting the base tier of pool " + std::to_string(id); });
    return base;
}

}  // namespace rbdxx::rados::pool
