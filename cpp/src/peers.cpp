// The peers of a pool. Since Ceph 16, calls name them after sites and have a direction; the older
// form of each call has the same meaning without a direction.
#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/peers.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::peers {

namespace {

// Without a direction, a peer means both directions.
constexpr int both_ways = constants::MIRROR_PEER_DIRECTION_RX_TX;

std::string describe(const char* what, const std::string& uuid, const IoCtx& ioctx) {
    return "error " + std::string(what) + " of mirror peer " + quoted(uuid) + ioctx.place();
}

}  // namespace

std::string create_token(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_mirror_peer_bootstrap_create(use.get(), text, size);
        },
        [&] { return "error creating a bootstrap token" + ioctx.place(); }, 1024);
}

void import_token(const IoCtx& ioctx, int direction, const std::string& token) {
    auto use = ioctx.use();
    check(use->rbd_mirror_peer_bootstrap_import(
              use.get(), static_cast<abi::rbd_mirror_peer_direction_t>(direction), token.c_str()),
          [&] { return "error importing a bootstrap token" + ioctx.place(); });
}

std::string add(const IoCtx& ioctx, const std::string& site_name, const std::string& client_name,
                int direction) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    if (!functions.rbd_mirror_peer_site_add && direction != both_ways) {
        throw_missing_function(functions.rbd_mirror_peer_site_add.name());
    }
    std::string uuid(64, '\0');
    int result = functions.rbd_mirror_peer_site_add
                     ? functions.rbd_mirror_peer_site_add(
                           use.get(), uuid.data(), uuid.size(),
                           static_cast<abi::rbd_mirror_peer_direction_t>(direction),
                           site_name.c_str(), client_name.c_str())
                     : functions.rbd_mirror_peer_add(use.get(), uuid.data(), uuid.size(),
                                                     site_name.c_str(), client_name.c_str());
    check(result, [&] { return "error adding mirror peer " + quoted(site_name) + ioctx.place(); });
    return uuid.c_str();
}

void remove(const IoCtx& ioctx, const std::string& uuid) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    int result = functions.rbd_mirror_peer_site_remove
                     ? functions.rbd_mirror_peer_site_remove(use.get(), uuid.c_str())
                     : functions.rbd_mirror_peer_remove(use.get(), uuid.c_str());
    check(result, [&] { return "error removing mirror peer " + quoted(uuid) + ioctx.place(); });
}

std::vector<Peer> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    auto what = [&] { return "error listing mirror peers" + ioctx.place(); };
    std::vector<Peer> found;
    if (functions.rbd_mirror_peer_site_list) {
        auto records = sized_records<abi::rbd_mirror_peer_site_t>(
            [&](auto* array, int* count) {
                return functions.rbd_mirror_peer_site_list(use.get(), array, count);
            },
            what, int{16});
        Records<abi::rbd_mirror_peer_site_t> owned(std::move(records),
                                                   functions.rbd_mirror_peer_site_list_cleanup);
        for (const auto& record : owned) {
            found.push_back({text_of(record.uuid), static_cast<int>(record.direction),
                             text_of(record.site_name), text_of(record.mirror_uuid),
                             text_of(record.client_name)});
        }
        return found;
    }
    auto records = sized_records<abi::rbd_mirror_peer_t>(
        [&](auto* array, int* count) {
            return functions.rbd_mirror_peer_list(use.get(), array, count);
        },
        what, int{16});
    Records<abi::rbd_mirror_peer_t> owned(std::move(records),
                                          functions.rbd_mirror_peer_list_cleanup);
    for (const auto& record : owned) {
        found.push_back({text_of(record.uuid), both_ways, text_of(record.cluster_name), "",
                         text_of(record.client_name)});
    }
    return found;
}

void set_client(const IoCtx& ioctx, const std::string& uuid, const std::string& client_name) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    int result =
        functions.rbd_mirror_peer_site_set_client_name
            ? functions.rbd_mirror_peer_site_set_client_name(use.get(), uuid.c_str(),
                                                             client_name.c_str())
            : functions.rbd_mirror_peer_set_client(use.get(), uuid.c_str(), client_name.c_str());
    check(result, [&] { return describe("setting the client name", uuid, ioctx); });
}

void set_name(const IoCtx& ioctx, const std::string& uuid, const std::string& site_name) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    int result =
        functions.rbd_mirror_peer_site_set_name
            ? functions.rbd_mirror_peer_site_set_name(use.get(), uuid.c_str(), site_name.c_str())
            : functions.rbd_mirror_peer_set_cluster(use.get(), uuid.c_str(), site_name.c_str());
    check(result, [&] { return describe("setting the site name", uuid, ioctx); });
}

void set_direction(const IoCtx& ioctx, const std::string& uuid, int direction) {
    auto use = ioctx.use();
    check(use->rbd_mirror_peer_site_set_direction(
              use.get(), uuid.c_str(), static_cast<abi::rbd_mirror_peer_direction_t>(direction)),
          [&] { return describe("setting the direction", uuid, ioctx); });
}

Attributes attributes(const IoCtx& ioctx, const std::string& uuid) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    const bool sites = static_cast<bool>(functions.rbd_mirror_peer_site_get_attributes);
    std::size_t count = 0;
    Attributes attributes = sized_pairs(
        [&](char* keys, std::size_t* keys_size, char* values, std::size_t* values_size) {
            return sites
                       ? functions.rbd_mirror_peer_site_get_attributes(
                             use.get(), uuid.c_str(), keys, keys_size, values, values_size, &count)
                       : functions.rbd_mirror_peer_get_attributes(
                             use.get(), uuid.c_str(), keys, keys_size, values, values_size, &count);
        },
        [&] { return describe("getting the attributes", uuid, ioctx); });
    if (attributes.size() > count) {
        attributes.resize(count);
    }
    return attributes;
}

void set_attributes(const IoCtx& ioctx, const std::string& uuid, const Attributes& attributes) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    std::string keys;
    std::string values;
    for (const auto& [key, value] : attributes) {
        keys.append(key).push_back('\0');
        values.append(value).push_back('\0');
    }
    int result = functions.rbd_mirror_peer_site_set_attributes
                     ? functions.rbd_mirror_peer_site_set_attributes(
                           use.get(), uuid.c_str(), keys.data(), values.data(), attributes.size())
                     : functions.rbd_mirror_peer_set_attributes(
                           use.get(), uuid.c_str(), keys.data(), values.data(), attributes.size());
    check(result, [&] { return describe("setting the attributes", uuid, ioctx); });
}

}  // namespace rbdxx::peers
