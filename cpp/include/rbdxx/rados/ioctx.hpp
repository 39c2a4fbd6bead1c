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
    // Returns "object 'x' in pool 'p', namespace 'n'", for messages. To be called between enter()
    // and leave().
    std::string object(const std::string& name) const;
    // Returns "pool 'p'" or "pool 'p', namespace 'n'", likewise.
    std::string place() const;

    // Returns the lane of the connection; null for a context of another library.
    std::shared_ptr<engine::Lane> lane() const;
    // Notes what Operation::submit_by() returned for a call that uses the context.
    void submitted_later(uint64_t number) noexcept;
    // Returns once the lane has submitted those calls. To be called before a setting of the context
    // changes, because the libraries read it when a call is submitted.
    void submit_waiting() noexcept;

    const abi::Functions* const functions;
    const abi::rados_ioctx_t raw;
    const bool owned;  // false: the context belongs to another library, which destroys it
    // The child owns a share: the connection must outlive every context made over it.
    std::shared_ptr<ClusterState> cluster;
    // Settings that librados does not return: the key that places objects, the snapshot that is
    // read (nothing for the head), and the snapshots that writes keep, the newest first.
    std::mutex mutex;
    std::string locator;
    std::optional<uint64_t> read_snapshot;
    std::vector<uint64_t> write_snapshots;

private:
    uint64_t last_later_ = 0;  // under the mutex
};

// An I/O context: a pool, a namespace in it, and how its objects are read and written. Copies share
// it. Thread-safe, except that set_namespace() and set_locator() must not run beside other calls.
// Each call throws ClosedError once the context is closed.
class IoCtx {
public:
    // Opens a context, which owns a share of the connection. Throws RadosError ENOENT if there is
    // no such pool, and ClosedError without a connection. Implements: rados_ioctx_create
    static IoCtx open(const Cluster& cluster, const std::string& pool);
    // As above, by the pool's id. Implements: rados_ioctx_create2
    static IoCtx open(const Cluster& cluster, int64_t pool_id);
    // Uses a context that belongs to another library, which destroys it. The caller keeps that
    // context and its connection open as long as this one, and everything opened through it, lives.
    // If it cannot, `guard` makes later calls throw DisconnectedError.
    static IoCtx borrow(abi::rados_ioctx_t raw, std::shared_ptr<const Guard> guard = nullptr);

    // Closes the context for all copies, once the calls under way have ended. Images stay open.
    // Closing twice does nothing.
    void close() noexcept { state_->close(); }
    // Returns whether the context is closed.
    bool closed() const noexcept { return state_->closed(); }

    // Sets the namespace, for every copy and for images opened from now on. An empty name means the
    // default namespace. Implements: rados_ioctx_set_namespace
    void set_namespace(const std::string& name) const;
    // Returns the namespace. Implements: rados_ioctx_get_namespace
    std::string get_namespace() const;
    // Returns the pool's id. Implements: rados_ioctx_get_id
    int64_t pool_id() const;
    // Returns the pool's name. Implements: rados_ioctx_get_pool_name
    std::string pool_name() const;
    // Returns " in pool 'rbd', namespace 'a'", for messages; empty if that is not known.
    std::string place() const;
    // Sets the key that places objects, in place of their names. An empty key means their names.
    // Implements: rados_ioctx_locator_set_key
    void set_locator(const std::string& key) const;
    // Returns the key that places objects.
    std::string locator() const;
    // Opens another context of the same pool, namespace, locator and snapshots.
    IoCtx duplicate() const;
    // Sets the snapshot that is read; see snapshot::set_read().
    void set_read_snapshot(std::optional<uint64_t> id) const;
    // Sets the snapshots that writes keep; see snapshot::set_write().
    void set_write_snapshots(std::vector<uint64_t> newest_first) const;
    // Returns the number of bytes that writes must be a multiple of; nothing if the pool requires
    // none. Throws RadosError.
    // Implements: rados_ioctx_pool_requires_alignment2, rados_ioctx_pool_required_alignment2
    std::optional<uint64_t> alignment() const;
    // Returns the version of the last object that was read or written through this context.
    // Implements: rados_get_last_version
    uint64_t last_version() const;
    // Sets whether writes to a full pool fail at once, with ENOSPC or EDQUOT, instead of waiting.
    // Implements: rados_set_pool_full_try, rados_unset_pool_full_try
    void set_full_try(bool enabled) const;

    // Keeps the context open while the result lives: for calls of the C functions.
    Use<IoCtxState> use() const { return Use<IoCtxState>(state_); }
    // As use(), for calls on objects; throws ClosedError if the connection was shut down.
    Use<IoCtxState> connected() const;
    const std::shared_ptr<IoCtxState>& state() const { return state_; }

private:
    explicit IoCtx(std::shared_ptr<IoCtxState> state) : state_(std::move(state)) {}
    std::shared_ptr<IoCtxState> state_;
};

}  // namespace rbdxx
