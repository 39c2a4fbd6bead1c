// An open image: its lifetime and what it is. What is done with it stands in the other topics.
#pragma once

#include <atomic>
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
    // A borrowed image is its lender's to close; null for one of our own.
    std::shared_ptr<void> lender;
    const std::string label;  // "image 'vm1' in pool 'rbd', namespace 'a'"
    // Where reads come from, as far as this library knows: a snapshot by its name, or by its
    // number, or the head. The mutex is held while that changes.
    std::optional<std::string> snapshot_name;
    std::optional<uint64_t> snapshot_id;
    std::mutex snapshot_mutex;
    // Whether it was opened for reading alone. Set before it is shared.
    bool read_only = false;
    // The connection that it was opened over; null where that is not known. Set before it is
    // shared.
    abi::rados_t connection = nullptr;
    // Parents, by pool, id and snapshot, of which is known that no data come from what is not an
    // image.
    std::set<std::tuple<int64_t, std::string, uint64_t>> sound_parents;
    std::mutex parents_mutex;
    // What frees the handle in place of rbd_close, where that is to happen asynchronously.
    std::function<int(abi::rbd_image_t)> closer;
    // Whether librbd lists the completions of this image for poll_events().
    std::atomic<bool> notifies{false};
    // How many have completed that poll_events() has not given yet.
    mutable std::atomic<int64_t> untold{0};
    // How many exclusive locks that an outage left behind were released (lock.hpp). The mutex is
    // held while that goes on.
    std::atomic<unsigned> released_locks{0};
    std::mutex release_mutex;
    // What waits for that in aio::release_left_behind(), and the count from when it was submitted.
    std::vector<std::pair<engine::Operation*, unsigned>> refused;
    std::mutex refused_mutex;
    // librbd calls back into it, so that it may have to outlive this.
    const std::shared_ptr<detail::KnownSize> known_size = std::make_shared<detail::KnownSize>();
    // The bytes by which the image is smaller while its encryption is loaded: those of the header.
    std::atomic<uint64_t> encryption_header{0};
    // What librbd calls back must live until it is told to stop, which it is before the image goes.
    std::vector<std::shared_ptr<watch::Watch>> watches;
    std::mutex watches_mutex;
    void forget(const watch::Watch* watch) noexcept;
    // Takes up to `most` completions that librbd has listed, but no more than events_at_a_time, and
    // frees them; gives how many, or librbd's error.
    int take_events(int most) noexcept;
    static constexpr int events_at_a_time = 256;
    // Takes what nobody has polled: it keeps its memory, and Ceph 14 does not close over it.
    void drain_events() noexcept;
};

// How to open an image: by name, or by id where `by_id` is set.
struct OpenOptions {
    std::string name;
    bool by_id = false;
    std::optional<std::string> snapshot{};
    bool read_only = false;
    // Where the image is, for messages: IoCtx::place().
    std::string place{};

    // "image 'vm1' at snapshot 'x' in pool 'rbd'", for messages.
    std::string describe() const;
    // "image 'vm1'", or "image id '10d2'".
    std::string title() const;
    // Whether librbd must not open it at its snapshot: open_image() then does so in two steps.
    // librbd tells that such an image is open while one of its threads still has to touch it, and
    // crashes or hangs where it is closed before that.
    bool in_two_steps() const { return read_only && snapshot; }
    // Throws MissingFunction where open_image() would.
    void require(const abi::Functions& functions) const;
};

// Opens by way of the C library; gives 0, and the handle in `raw`, or a negative errno. Implements:
// rbd_open, rbd_open_read_only, rbd_open_by_id, rbd_open_by_id_read_only
int open_image(const abi::Functions& functions, abi::rados_ioctx_t ioctx,
               const OpenOptions& options, abi::rbd_image_t* raw);

struct ImageInfo {
    uint64_t size = 0;      // bytes
    uint64_t obj_size = 0;  // bytes
    uint64_t num_objs = 0;
    int order = 0;  // obj_size == 1 << order
    std::string block_name_prefix;
    int64_t parent_pool = -1;
    std::string parent_name;
};

// Copies share one open image, which closes with the last of them or by close(). Thread-safe.
class Image {
public:
    // Owns a share of the connection, not of the context, which may be closed at once. A borrowed
    // context's connection is the caller's to keep.
    static Image open(const IoCtx& ioctx, OpenOptions options);
    // Takes over an image that the C library has opened over the connection of `cluster`, which is
    // null where that is another library's.
    static Image adopt(std::shared_ptr<ClusterState> cluster, abi::rbd_image_t raw,
                       const OpenOptions& options);

    // Notes which connection a context is of, for what an image needs of its pool's others.
    void set_connection(const IoCtx& ioctx) const noexcept;

    // Uses an image that stays `lender`'s to close, and keeps `lender` for as long.
    static Image borrow(abi::rbd_image_t raw, std::shared_ptr<void> lender);

    // Closes, for all copies: waits for the calls under way, then throws what rbd_close reports.
    // Later calls throw ClosedError. Closing twice is no error.
    void close();
    // Throws for the result of a Handle::Closing of the image.
    void check_closed(int result) const;
    bool closed() const noexcept { return state_->closed(); }

    ImageInfo info() const;
    uint64_t size() const;  // bytes
    std::string name() const;
    std::string id() const;
    std::string block_name_prefix() const;
    int64_t data_pool_id() const;
    uint64_t features() const;     // FEATURE_* bits
    uint64_t op_features() const;  // OPERATION_FEATURE_* bits
    uint64_t flags() const;        // FLAG_* bits
    bool old_format() const;
    uint64_t overlap() const;      // bytes shared with the parent
    uint64_t stripe_unit() const;  // bytes
    uint64_t stripe_count() const;
    // Since 1970; librbd notes access and modification now and then, not each time.
    timespec create_timestamp() const;
    timespec access_timestamp() const;
    timespec modify_timestamp() const;

    // Long ones: they return when all is done, and call `progress` meanwhile.

    // `size` in bytes; throws ArgumentError for a smaller one unless `allow_shrink`.
    void resize(uint64_t size, bool allow_shrink, const Progress& progress) const;
    // Copies from the parent what the clone has not got, and lets go of the parent.
    void flatten(const Progress& progress) const;
    // Frees runs of zeroes of `sparse_size` bytes, a power of two of 4096 or more.
    void sparsify(uint64_t sparse_size, const Progress& progress) const;
    void rebuild_object_map(const Progress& progress) const;

    // Switches FEATURE_* bits on or off.
    void update_features(uint64_t features, bool enabled) const;
    // Returns when everything written before is safe.
    void flush() const;
    // Drops what this handle has cached of the image's data.
    void invalidate_cache() const;

    // Keeps the image open while the result lives: for calls of the C functions.
    Use<ImageState> use() const { return Use<ImageState>(state_); }
    const std::shared_ptr<ImageState>& state() const { return state_; }
    std::string describe() const { return state_->label; }

private:
    explicit Image(std::shared_ptr<ImageState> state) : state_(std::move(state)) {}
    std::shared_ptr<ImageState> state_;
};

// Marks what may change the size of an image that this process has open: librbd tells of that a
// little later, or, of what changes for this handle alone, never.
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
