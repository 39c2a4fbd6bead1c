#include <rbdxx/error.hpp>
#include <rbdxx/ioctx.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx {

int IoCtxState::destroy() noexcept {
    if (owned) {
        functions->rados_ioctx_destroy(raw);
    }
    return 0;
}

namespace {

// A text that the call writes into (buffer, length), with its length as answer.
template <class Call, class Describe>
std::string text_of_length(const Call& call, const Describe& describe) {
    std::string text;
    int length = check<RadosError>(until_sized(unsigned{256},
                                               [&](unsigned& size) {
                                                   text.assign(size, '\0');
                                                   return call(text.data(), size);
                                               }),
                                   describe);
    text.resize(static_cast<std::size_t>(length));
    return text;
}

std::shared_ptr<IoCtxState> state_of(const Use<ClusterState>& cluster,
                                     const std::shared_ptr<ClusterState>& owner,
                                     abi::rados_ioctx_t raw) {
    return owned(
        [&] { return std::make_shared<IoCtxState>(cluster.functions(), raw, owner, true); },
        [&] { cluster->rados_ioctx_destroy(raw); });
}

}  // namespace

IoCtx IoCtx::open(const Cluster& cluster, const std::string& pool) {
    auto call = cluster.use();
    abi::rados_ioctx_t raw = nullptr;
    check<RadosError>(call->rados_ioctx_create(call.get(), pool.c_str(), &raw),
                      [&] { return "error opening pool " + quoted(pool); });
    return IoCtx(state_of(call, cluster.state(), raw));
}

IoCtx IoCtx::open(const Cluster& cluster, int64_t pool_id) {
    auto call = cluster.use();
    abi::rados_ioctx_t raw = nullptr;
    check<RadosError>(call->rados_ioctx_create2(call.get(), pool_id, &raw),
                      [&] { return "error opening pool " + std::to_string(pool_id); });
    return IoCtx(state_of(call, cluster.state(), raw));
}

IoCtx IoCtx::borrow(abi::rados_ioctx_t raw, const Witness& witness) {
    IoCtx borrowed(std::make_shared<IoCtxState>(rbdxx::functions(), raw, nullptr, false));
    borrowed.state_->set_witness(witness);
    return borrowed;
}

void IoCtx::set_namespace(const std::string& name) const {
    auto call = use();
    call->rados_ioctx_set_namespace(call.get(), name.c_str());
}

std::string IoCtx::get_namespace() const {
    auto call = use();
    return text_of_length(
        [&](char* text, unsigned size) {
            return call->rados_ioctx_get_namespace(call.get(), text, size);
        },
        [] { return std::string("error getting the ioctx's namespace"); });
}

int64_t IoCtx::pool_id() const {
    auto call = use();
    return call->rados_ioctx_get_id(call.get());
}

std::string IoCtx::pool_name() const {
    auto call = use();
    return text_of_length(
        [&](char* text, unsigned size) {
            return call->rados_ioctx_get_pool_name(call.get(), text, size);
        },
        [] { return std::string("error getting the ioctx's pool name"); });
}

std::string IoCtx::place() const {
    try {
        std::string text = " in pool " + quoted(pool_name());
        const std::string space = get_namespace();
        return space.empty() ? text : text + ", namespace " + quoted(space);
    } catch (const Error&) {
        return {};
    }
}

PoolStatistics IoCtx::statistics() const {
    auto call = use();
    PoolStatistics statistics;
    check<RadosError>(call->rados_ioctx_pool_stat(call.get(), &statistics.values),
                      [&] { return "error getting the statistics" + place(); });
    return statistics;
}

void IoCtx::application_enable(const std::string& name, bool force) const {
    auto call = use();
    check<RadosError>(call->rados_application_enable(call.get(), name.c_str(), force ? 1 : 0),
                      [&] { return "error enabling application " + quoted(name) + place(); });
}

std::vector<std::string> IoCtx::application_list() const {
    auto call = use();
    return sized_names<RadosError>(
        [&](char* names, std::size_t* size) {
            return call->rados_application_list(call.get(), names, size);
        },
        [&] { return "error listing applications" + place(); });
}

std::string IoCtx::application_metadata_get(const std::string& name, const std::string& key) const {
    auto call = use();
    return sized_string<RadosError>(
        [&](char* value, std::size_t* size) {
            return call->rados_application_metadata_get(call.get(), name.c_str(), key.c_str(),
                                                        value, size);
        },
        [&] {
            return "error getting metadata " + quoted(key) + " of application " + quoted(name) +
                   place();
        });
}

void IoCtx::application_metadata_set(const std::string& name, const std::string& key,
                                     const std::string& value) const {
    auto call = use();
    check<RadosError>(
        call->rados_application_metadata_set(call.get(), name.c_str(), key.c_str(), value.c_str()),
        [&] {
            return "error setting metadata " + quoted(key) + " of application " + quoted(name) +
                   place();
        });
}

void IoCtx::application_metadata_remove(const std::string& name, const std::string& key) const {
    auto call = use();
    check<RadosError>(
        call->rados_application_metadata_remove(call.get(), name.c_str(), key.c_str()), [&] {
            return "error removing metadata " + quoted(key) + " of application " + quoted(name) +
                   place();
        });
}

std::vector<std::pair<std::string, std::string>> IoCtx::application_metadata_list(
    const std::string& name) const {
    auto call = use();
    return sized_pairs<RadosError>(
        [&](char* keys, std::size_t* keys_size, char* values, std::size_t* values_size) {
            return call->rados_application_metadata_list(call.get(), name.c_str(), keys, keys_size,
                                                         values, values_size);
        },
        [&] { return "error listing metadata of application " + quoted(name) + place(); });
}

}  // namespace rbdxx
