#include <rbdxx/engine.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/rados/constants.hpp>
#include <rbdxx/rados/ioctx.hpp>
#include <rbdxx/sized.hpp>

#include <algorithm>

namespace rbdxx {

int IoCtxState::destroy() noexcept {
    if (owned) {
        functions->rados_ioctx_destroy(raw);
    }
    return 0;
}

std::shared_ptr<engine::Lane> IoCtxState::lane() const {
    return cluster != nullptr ? cluster->lane() : nullptr;
}

void IoCtxState::submitted_later(uint64_t number) noexcept {
    if (number > 0) {
        std::lock_guard<std::mutex> lock(mutex);
        last_later_ = std::max(last_later_, number);
    }
}

void IoCtxState::submit_waiting() noexcept {
    std::unique_lock<std::mutex> lock(mutex);
    const uint64_t number = last_later_;
    lock.unlock();
    if (number > 0) {
        lane()->wait(number);
    }
}

namespace {

// Returns the text that `call(buffer, length)` writes. The call returns the text's length.
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
    auto call = cluster.connected();
    abi::rados_ioctx_t raw = nullptr;
    check<RadosError>(call->rados_ioctx_create(call.get(), pool.c_str(), &raw),
                      [&] { return "error opening pool " + quoted(pool); });
    return IoCtx(state_of(call, cluster.state(), raw));
}

IoCtx IoCtx::open(const Cluster& cluster, int64_t pool_id) {
    auto call = cluster.connected();
    abi::rados_ioctx_t raw = nullptr;
    check<RadosError>(call->rados_ioctx_create2(call.get(), pool_id, &raw),
                      [&] { return "error opening pool " + std::to_string(pool_id); });
    return IoCtx(state_of(call, cluster.state(), raw));
}

IoCtx IoCtx::borrow(abi::rados_ioctx_t raw, std::shared_ptr<const Guard> guard) {
    IoCtx borrowed(std::make_shared<IoCtxState>(rbdxx::functions(), raw, nullptr, false));
    borrowed.state_->set_guard(std::move(guard));
    return borrowed;
}

void IoCtx::set_namespace(const std::string& name) const {
    auto call = use();
    call.state().submit_waiting();
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
        return " in " + use().state().place();
    } catch (const Error&) {
        return {};
    }
}

void IoCtx::set_locator(const std::string& key) const {
    auto call = use();
    call.state().submit_waiting();
    std::lock_guard<std::mutex> lock(state_->mutex);
    call->rados_ioctx_locator_set_key(call.get(), key.empty() ? nullptr : key.c_str());
    state_->locator = key;
}

std::string IoCtx::locator() const {
    auto call = use();
    std::lock_guard<std::mutex> lock(state_->mutex);
    return state_->locator;
}

IoCtx IoCtx::duplicate() const {
    auto call = connected();
    abi::rados_ioctx_t raw = nullptr;
    const int64_t pool = call->rados_ioctx_get_id(call.get());
    check<RadosError>(
        call->rados_ioctx_create2(call->rados_ioctx_get_cluster(call.get()), pool, &raw),
        [&] { return "error opening " + call.state().place(); });
    auto state = owned(
        [&] { return std::make_shared<IoCtxState>(call.functions(), raw, state_->cluster, true); },
        [&] { call->rados_ioctx_destroy(raw); });
    IoCtx other(std::move(state));
    other.set_namespace(get_namespace());
    other.set_locator(locator());
    std::unique_lock<std::mutex> lock(state_->mutex);
    const auto read_snapshot = state_->read_snapshot;
    const auto write_snapshots = state_->write_snapshots;
    lock.unlock();
    if (read_snapshot) {
        other.set_read_snapshot(read_snapshot);
    }
    if (!write_snapshots.empty()) {
        other.set_write_snapshots(write_snapshots);
    }
    return other;
}

void IoCtx::set_read_snapshot(std::optional<uint64_t> id) const {
    auto call = connected();
    call.state().submit_waiting();
    std::lock_guard<std::mutex> lock(state_->mutex);
    call->rados_ioctx_snap_set_read(call.get(), id.value_or(rados::constants::SNAP_HEAD));
    state_->read_snapshot = id;
}

void IoCtx::set_write_snapshots(std::vector<uint64_t> newest_first) const {
    auto call = connected();
    call.state().submit_waiting();
    std::lock_guard<std::mutex> lock(state_->mutex);
    const uint64_t newest = newest_first.empty() ? 0 : newest_first.front();
    check<RadosError>(
        call->rados_ioctx_selfmanaged_snap_set_write_ctx(call.get(), newest, newest_first.data(),
                                                         static_cast<int>(newest_first.size())),
        [&] { return "error setting the snapshots that writes to " + state_->place() + " keep"; });
    state_->write_snapshots = std::move(newest_first);
}

std::optional<uint64_t> IoCtx::alignment() const {
    auto call = connected();
    int required = 0;
    check<RadosError>(call->rados_ioctx_pool_requires_alignment2(call.get(), &required),
                      [&] { return "error getting the alignment of " + call.state().place(); });
    if (required == 0) {
        return std::nullopt;
    }
    uint64_t bytes = 0;
    check<RadosError>(call->rados_ioctx_pool_required_alignment2(call.get(), &bytes),
                      [&] { return "error getting the alignment of " + call.state().place(); });
    return bytes;
}

uint64_t IoCtx::last_version() const {
    auto call = use();
    return call->rados_get_last_version(call.get());
}

void IoCtx::set_full_try(bool enabled) const {
    auto call = use();
    call.state().submit_waiting();
    // Ceph 14 has these functions under other names.
    const auto& table = call.functions();
    if (enabled) {
        (table.rados_set_pool_full_try ? table.rados_set_pool_full_try
                                       : table.rados_set_osdmap_full_try)(call.get());
    } else {
        (table.rados_unset_pool_full_try ? table.rados_unset_pool_full_try
                                         : table.rados_unset_osdmap_full_try)(call.get());
    }
}

Use<IoCtxState> IoCtx::connected() const {
    auto call = use();
    const auto& cluster = state_->cluster;
    if (cluster != nullptr && cluster->connection.load() == ConnectionState::shut_down) {
        throw ClosedError("the connection of " + state_->place() + " is shut down",
                          ClosedError::Subject::connection);
    }
    return call;
}

std::string IoCtxState::place() const {
    auto text = [&](auto get) {
        char buffer[256];
        int length = get(buffer, static_cast<unsigned>(sizeof buffer));
        return length > 0 ? std::string(buffer, static_cast<std::size_t>(length)) : std::string();
    };
    std::string where = "pool " + quoted(text([&](char* buffer, unsigned size) {
                            return functions->rados_ioctx_get_pool_name(raw, buffer, size);
                        }));
    std::string space = text([&](char* buffer, unsigned size) {
        return functions->rados_ioctx_get_namespace(raw, buffer, size);
    });
    return space.empty() ? where : where + ", namespace " + quoted(space);
}

std::string IoCtxState::object(const std::string& name) const {
    return "object " + quoted(name) + " in " + place();
}

}  // namespace rbdxx
