// An I/O context: one pool, and a namespace in it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/handle.hpp>
#include <rbdxx/rados/cluster.hpp>

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
    // "object 'x' in pool 'p', namespace 'n'", for messages; to be called between enter() and
    // leave().
    std::string object(const std::string& name) const;
    // "pool 'p'", or "pool 'p', namespace 'n'", likewise.
    std::string place() const;

    const abi::Functions* const functions;
    const abi::rados_ioctx_t raw;
    const bool owned;  // false: another library's, which destroys it
    // The child owns a share: the connection must outlive every context made over it.
    std::shared_ptr<ClusterState> cluster;
    // What librados was told and does not tell again: the key that places objects, the snapshot
    // that is read (none: the present), those that writes keep, the newest first.
    std::mutex mutex;
    std::string locator;
    std::optional<uint64_t> read_snapshot;
    std::vector<uint64_t> write_snapshots;
};

// Copies share one context. Thread-safe, but for set_namespace and set_locator against
// calls under way.
class IoCtx {
public:
    // Owns a share of the connection. Throws RadosError ENOENT for a pool that is not there.
    static IoCtx open(const Cluster& cluster, const std::string& pool);
    static IoCtx open(const Cluster& cluster, int64_t pool_id);
    // Another library's context, which stays that library's: never destroyed here. The caller keeps
    // it and its connection open for as long as this and what is opened through it live; where it
    // cannot, `guard` makes later calls throw DisconnectedError.
    static IoCtx borrow(abi::rados_ioctx_t raw, std::shared_ptr<const Guard> guard = nullptr);

    // Waits for the calls under way; later ones throw ClosedError. Images stay open. Closing twice
    // is no error.
    void close() noexcept { state_->close(); }
    bool closed() const noexcept { return state_->closed(); }

    // For every copy of the context, and for images opened from now on. Empty: the default one.
    void set_namespace(const std::string& name) const;
    std::string get_namespace() const;
    int64_t pool_id() const;
    std::string pool_name() const;
    // Where it is, for messages: " in pool 'rbd', namespace 'a'"; empty if that cannot be told.
    std::string place() const;
    // Objects are placed by this key in place of their names. Empty: by their names.
    void set_locator(const std::string& key) const;
    std::string locator() const;
    // Another context of the same pool, namespace, locator and snapshots.
    IoCtx duplicate() const;
    // See snapshot::set_read() and set_write().
    void set_read_snapshot(std::optional<uint64_t> id) const;
    void set_write_snapshots(std::vector<uint64_t> newest_first) const;
    // What a write must be a multiple of, in bytes; nothing for a pool that requires none.
    std::optional<uint64_t> alignment() const;
    // The version of the last object that was read or written through this context.
    uint64_t last_version() const;
    // Whether writes to a full pool fail at once (ENOSPC or EDQUOT) instead of waiting for space.
    void set_full_try(bool enabled) const;

    // Keeps the context open while the result lives: for calls of the C functions.
    Use<IoCtxState> use() const { return Use<IoCtxState>(state_); }
    // As use(), for calls on objects; throws ClosedError where the connection was shut down.
    Use<IoCtxState> connected() const;
    const std::shared_ptr<IoCtxState>& state() const { return state_; }

private:
    explicit IoCtx(std::shared_ptr<IoCtxState> state) : state_(std::move(state)) {}
    std::shared_ptr<IoCtxState> state_;
};

}  // namespace rbdxx
