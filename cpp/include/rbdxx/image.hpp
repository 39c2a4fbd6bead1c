// An open image: its lifetime and its properties. The other topics have the calls on it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <rbdxx/detail/known_size.hpp>
#include <rbdxx/detail/unsaved.hpp>
#include <rbdxx/progress.hpp>
#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx {

namespace engine {
class Operation;
}
namespace watch {
class Watch;
}

// What the copies of an Image share.
struct ImageState final : Handle {
    ImageState(const abi::Functions& table, abi::rbd_image_t image,
               std::shared_ptr<ClusterState> parent, std::string what,
               std::shared_ptr<void> owner = nullptr)
        : functions(&table),
          raw(image),
          cluster(std::move(parent)),
          lender(std::move(owner)),
          label(std::move(what)) {
        if (cluster != nullptr) {
            ++cluster->others;
        }
    }
    ~ImageState() override;
    std::string describe() const override { return label; }
    int destroy() noexcept override;
    void release() noexcept override {
        if (cluster != nullptr) {
            --cluster->others;
            cluster.reset();
        }
        lender.reset();
    }

    const abi::Functions* const functions;
    const abi::rbd_image_t raw;
    // The child owns a share: librbd hangs when its connection is shut down under an open image.
    std::shared_ptr<ClusterState> cluster;
    // The lender of a borrowed image, which also closes it; null for an image opened here.
    std::shared_ptr<void> lender;
    const std::string label;  // "image 'vm1' in pool 'rbd', namespace 'a'"
    // Where reads come from, as far as this library knows: a snapshot by its name or by its id, or
    // the head. The mutex is held while that changes.
    std::optional<std::string> snapshot_name;
    std::optional<uint64_t> snapshot_id;
    std::mutex snapshot_mutex;
    // Whether it was opened read-only. Set before the state is shared.
    bool read_only = false;
    // The connection that it was opened over, the pool and the namespace; null if they are not
    // known. Set before the state is shared.
    abi::rados_t connection = nullptr;
    int64_t pool_id = -1;
    std::string pool_namespace;
    // Parents, by pool, id and snapshot, whose data are known to come from images alone.
    std::set<std::tuple<int64_t, std::string, uint64_t>> sound_parents;
    std::mutex parents_mutex;
    // Frees the handle in place of rbd_close, if it is set: for an asynchronous close.
    std::function<int(abi::rbd_image_t)> closer;
    mutable detail::Unsaved unsaved;
    // When librbd opened the parent, if there is one: at the opening, or at a change of snapshot.
    std::atomic<std::chrono::steady_clock::time_point> parent_since{
        std::chrono::steady_clock::now()};
    // How long to wait before librbd may close the parent: it crashes if one of its threads has not
    // left the opening of the parent by then. To close an image that is open for writing, it has to
    // ask the cluster first, which takes longer.
    std::chrono::steady_clock::duration until_parent_closes() const noexcept;
    // Writes the cache back, unless nothing was written or another client has got the lock since,
    // before which librbd writes back by itself. rbd_close ignores what fails then. Returns 0 or
    // librbd's negative errno.
    int write_back() noexcept;
    // What comes before librbd closes the image: writes the cache back, and waits until the parent
    // of an image that is open read-only may be closed. Returns what write_back() returned.
    int before_close() noexcept;
    // Returns whether before_close() may have to wait.
    bool waits_before_close() const noexcept;
    // Whether write_back() failed when the image was closed.
    std::atomic<bool> lost_writes{false};
    // Whether librbd lists the completions of this image for poll_events().
    std::atomic<bool> notifies{false};
    // The number of completions that poll_events() has not returned yet.
    mutable std::atomic<int64_t> untold{0};
    // The number of exclusive locks left behind by an outage that were released (lock.hpp). The
    // mutex is held during a release.
    std::atomic<unsigned> released_locks{0};
    std::mutex release_mutex;
    // The operations that wait for a release in aio::release_left_behind(), each with the count
    // from when it was submitted.
    std::vector<std::pair<engine::Operation*, unsigned>> refused;
    std::mutex refused_mutex;
    // Shared, because librbd calls it back and it may have to outlive this.
    const std::shared_ptr<detail::KnownSize> known_size = std::make_shared<detail::KnownSize>();
    // The bytes of the encryption header, by which the image is smaller while encryption is loaded.
    std::atomic<uint64_t> encryption_header{0};
    // librbd calls the watches back: they live until they are closed, before the image is.
    std::vector<std::shared_ptr<watch::Watch>> watches;
    std::mutex watches_mutex;
    void forget(const watch::Watch* watch) noexcept;
    // Takes and frees up to `most` completions that librbd has listed, at most events_at_a_time.
    // Returns their number, or librbd's negative errno.
    int take_events(int most) noexcept;
    static constexpr int events_at_a_time = 256;
    // Takes the completions that nobody has polled. Otherwise they keep their memory, and Ceph 14
    // does not close the image.
    void drain_events() noexcept;
};

// How to open an image: by name, or by id if `by_id` is set.
struct OpenOptions {
    std::string name;
    bool by_id = false;
    std::optional<std::string> snapshot{};
    bool read_only = false;
    // Where the image is, for messages: IoCtx::place().
    std::string place{};

    // Returns "image 'vm1' at snapshot 'x' in pool 'rbd'", for messages.
    std::string describe() const;
    // Returns "image 'vm1'", or "image id '10d2'".
    std::string title() const;
    // Returns whether open_image() has to open the head first and then set the snapshot. librbd
    // reports an image that it opens read-only at a snapshot as open while one of its threads still
    // uses it; it crashes or hangs if the image is closed before that.
    bool in_two_steps() const { return read_only && snapshot; }
    // Throws MissingFunction if open_image() would.
    void require(const abi::Functions& functions) const;
};

// Sets what images need of their connection: look_for_restarted_osds(), and for writing, that
// librbd's cache is off if its policy is "writearound", Ceph's default from 16 on. With that
// policy, librbd reports writes as complete before the cluster has them, and flushes succeed
// although such a write has failed. open_image() calls this.
void prepare_connection(const abi::Functions& functions, abi::rados_ioctx_t ioctx,
                        bool read_only) noexcept;

// Opens an image. Returns 0 with the handle in `raw`, or a negative errno. Image::open() calls it.
// Implements: rbd_open, rbd_open_read_only, rbd_open_by_id, rbd_open_by_id_read_only
int open_image(const abi::Functions& functions, abi::rados_ioctx_t ioctx,
               const OpenOptions& options, abi::rbd_image_t* raw);

// The size and the layout of an image.
struct ImageInfo {
    uint64_t size = 0;      // bytes
    uint64_t obj_size = 0;  // bytes
    uint64_t num_objs = 0;
    int order = 0;                  // obj_size == 1 << order
    std::string block_name_prefix;  // how the names of the image's objects begin
    int64_t parent_pool = -1;       // librbd no longer fills this; see parent.hpp
    std::string parent_name;        // likewise
};

// An open image. Copies share it; it is closed by close(), or with the last copy. Any thread may
// use it. Each call throws ClosedError once it is closed, and Error if librbd fails.
class Image {
public:
    // Opens an image. It owns a share of the connection; the context may be closed at once. Who
    // passes a borrowed context keeps its connection open. Throws Error ENOENT if there is no such
    // image or snapshot. Implements: rbd_open, rbd_open_read_only, rbd_open_by_id,
    // rbd_open_by_id_read_only
    static Image open(const IoCtx& ioctx, OpenOptions options);
    // Takes over an image that the C library has opened over the connection of `cluster`, or, if
    // that is null, over another library's connection. The result closes the image.
    static Image adopt(std::shared_ptr<ClusterState> cluster, abi::rbd_image_t raw,
                       const OpenOptions& options);

    // Notes the connection of a context, for calls that open other images of the cluster.
    void set_connection(const IoCtx& ioctx) const;
    // Opens another image over the same connection, which must outlive it. Throws Error ENOTCONN
    // for a borrowed image, because its connection is not known.
    Image open_beside(int64_t pool_id, const std::string& pool_namespace,
                      const OpenOptions& options) const;

    // Uses an image without owning it: the last copy drops its share of `lender`, which closes the
    // image.
    static Image borrow(abi::rbd_image_t raw, std::shared_ptr<void> lender);

    // Closes the image for all copies, once the calls under way have ended. Closing twice does
    // nothing. Throws Error if written data cannot be saved, or if librbd reports another error;
    // the image is closed then too. Implements: rbd_close
    void close();
    // Throws Error if the result of a Handle::Closing of the image is negative.
    void check_closed(int result) const;
    // Returns whether the image is closed.
    bool closed() const noexcept { return state_->closed(); }

    // Returns the image's size and layout. Implements: rbd_stat
    ImageInfo info() const;
    // Returns the size in bytes: that of the snapshot, if one is set. Implements: rbd_get_size
    uint64_t size() const;
    // Returns the name. Implements: rbd_get_name
    std::string name() const;
    // Returns the id, which no rename changes. Implements: rbd_get_id
    std::string id() const;
    // Returns how the names of the image's objects begin. Implements: rbd_get_block_name_prefix
    std::string block_name_prefix() const;
    // Returns the id of the pool that holds the data. Implements: rbd_get_data_pool_id
    int64_t data_pool_id() const;
    // Returns the features, constants::FEATURE_* bits. Implements: rbd_get_features
    uint64_t features() const;
    // Returns constants::OPERATION_FEATURE_* bits. Implements: rbd_get_op_features
    uint64_t op_features() const;
    // Returns constants::FLAG_* bits: parts of the image that must be rebuilt.
    // Implements: rbd_get_flags
    uint64_t flags() const;
    // Returns whether the image has the old format 1. Implements: rbd_get_old_format
    bool old_format() const;
    // Returns the number of bytes, from the beginning, that may come from the parent.
    // Implements: rbd_get_overlap
    uint64_t overlap() const;
    // Returns the stripe unit in bytes. Implements: rbd_get_stripe_unit
    uint64_t stripe_unit() const;
    // Returns the number of objects that data is striped over. Implements: rbd_get_stripe_count
    uint64_t stripe_count() const;
    // Returns when the image was created, since 1970. Implements: rbd_get_create_timestamp
    timespec create_timestamp() const;
    // Returns when the image was read last, since 1970. librbd notes it once a minute by
    // default. Implements: rbd_get_access_timestamp
    timespec access_timestamp() const;
    // Returns when the image was written last, since 1970. librbd notes it once a minute by
    // default. Implements: rbd_get_modify_timestamp
    timespec modify_timestamp() const;

    // The next four calls may take minutes. They return once librbd has completed, and call
    // `progress` meanwhile.

    // Sets the size, in bytes. Throws ArgumentError for a smaller size unless `allow_shrink`, and
    // Error EROFS if the image is open read-only. Implements: rbd_resize2
    void resize(uint64_t size, bool allow_shrink, const Progress& progress) const;
    // Copies the data that the clone still reads from its parent. The clone has no parent
    // afterwards. Throws Error EINVAL if it has none before, and EROFS for an encrypted clone if
    // another client keeps its exclusive lock.
    // Implements: rbd_flatten_with_progress
    void flatten(const Progress& progress) const;
    // Frees the space of runs of `sparse_size` zero bytes. `sparse_size` is a power of two, 4096 or
    // more; otherwise Error EINVAL is thrown. Implements: rbd_sparsify_with_progress
    void sparsify(uint64_t sparse_size, const Progress& progress) const;
    // Rebuilds the object map from the objects that exist. Throws Error EINVAL if the image has no
    // object map. Implements: rbd_rebuild_object_map
    void rebuild_object_map(const Progress& progress) const;

    // Switches features, constants::FEATURE_* bits, on or off. Throws Error EINVAL for a feature
    // that cannot be switched. Implements: rbd_update_features
    void update_features(uint64_t features, bool enabled) const;
    // Returns once everything written before is safe in the cluster. Implements: rbd_flush
    void flush() const;
    // Flushes what librbd's cache may have alone. Called before the calls of librbd that flush too,
    // but ignore a failure, or leave the image blocked. Throws Error.
    void save() const;
    // Drops the image's data from this handle's cache. Implements: rbd_invalidate_cache
    void invalidate_cache() const;

    // Keeps the image open while the result lives: for calls of the C functions.
    Use<ImageState> use() const { return Use<ImageState>(state_); }
    const std::shared_ptr<ImageState>& state() const { return state_; }
    // Returns "image 'vm1' in pool 'rbd'", for messages.
    std::string describe() const { return state_->label; }

private:
    explicit Image(std::shared_ptr<ImageState> state) : state_(std::move(state)) {}
    std::shared_ptr<ImageState> state_;
};

// Marks, while it lives, a call that may change the size of an image that this process has open.
// librbd reports such a change a little later; it never reports one that concerns this handle
// alone.
class SizeChange {
public:
    explicit SizeChange(const Image& image) : known_(image.state()->known_size) {}
    ~SizeChange() { known_->changed(); }
    SizeChange(const SizeChange&) = delete;
    SizeChange& operator=(const SizeChange&) = delete;

private:
    const std::shared_ptr<detail::KnownSize> known_;
};

}  // namespace rbdxx
