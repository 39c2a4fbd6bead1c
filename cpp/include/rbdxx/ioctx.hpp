// An I/O context: one pool, and a namespace in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/cluster.hpp>
#include <rbdxx/handle.hpp>

namespace rbdxx {

// What the copies of an IoCtx share.
struct IoCtxState final : Handle {
    IoCtxState(const abi::Functions& table, abi::rados_ioctx_t ioctx,
               std::shared_ptr<ClusterState> connection, bool is_owned)
        : functions(&table), raw(ioctx), owned(is_owned), cluster(std::move(connection)) {}
    ~IoCtxState() override { close(); }
    std::string describe() const override { return "ioctx"; }
    ClosedError::Subject subject() const override { return ClosedError::Subject::ioctx; }
    int destroy() noexcept override;
    void release() noexcept override { cluster.reset(); }

    const abi::Functions* const functions;
    const abi::rados_ioctx_t raw;
    const bool owned;  // false: another library's, which destroys it
    // The child owns a share: the connection must outlive every context made over it.
    std::shared_ptr<ClusterState> cluster;
};

// librados' own record: sizes are bytes where their names do not say kb.
struct PoolStatistics {
    abi::rados_pool_stat_t values{};
};

// Copies share one context. Thread-safe, but for set_namespace against calls under way.
class IoCtx {
public:
    // Owns a share of the connection. Throws RadosError ENOENT for a pool that is not there.
    static IoCtx open(const Cluster& cluster, const std::string& pool);
    static IoCtx open(const Cluster& cluster, int64_t pool_id);
    // Another library's context, which stays that library's: never destroyed here. The caller keeps
    // it and its connection open for as long as this and what is opened through it live; where it
    // cannot, `witness` makes later calls throw DisconnectedError.
    static IoCtx borrow(abi::rados_ioctx_t raw, const Witness& witness = {});

    // Waits for the calls under way; later ones throw ClosedError. Images stay open. Closing twice
    // is no error.
    void close(const Waiting& waiting = {}) noexcept { state_->close(waiting); }
    bool closed() const noexcept { return state_->closed(); }

    // For every copy of the context, and for images opened from now on. Empty: the default one.
    void set_namespace(const std::string& name) const;
    std::string get_namespace() const;
    int64_t pool_id() const;
    std::string pool_name() const;
    PoolStatistics statistics() const;
    // Where it is, for messages: " in pool 'rbd', namespace 'a'"; empty if that cannot be told.
    std::string place() const;

    // Which application a pool is for, and what that one notes there: block devices are "rbd".
    void application_enable(const std::string& name, bool force) const;
    std::vector<std::string> application_list() const;
    std::string application_metadata_get(const std::string& name, const std::string& key) const;
    void application_metadata_set(const std::string& name, const std::string& key,
                                  const std::string& value) const;
    void application_metadata_remove(const std::string& name, const std::string& key) const;
    std::vector<std::pair<std::string, std::string>> application_metadata_list(
        const std::string& name) const;

    // Keeps the context open while the result lives: for calls of the C functions.
    Use<IoCtxState> use() const { return Use<IoCtxState>(state_); }
    const std::shared_ptr<IoCtxState>& state() const { return state_; }

private:
    explicit IoCtx(std::shared_ptr<IoCtxState> state) : state_(std::move(state)) {}
    std::shared_ptr<IoCtxState> state_;
};

}  // namespace rbdxx
