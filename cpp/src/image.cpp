#include <rbdxx/constants.hpp>
#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/image.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/migration.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/snapshot.hpp>
#include <rbdxx/watch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "conf.hpp"
#include "runs.hpp"

namespace rbdxx {

namespace {

// Returns the C function for these options.
const auto& opener(const abi::Functions& functions, const OpenOptions& options) {
    if (options.by_id) {
        return options.read_only ? functions.rbd_open_by_id_read_only : functions.rbd_open_by_id;
    }
    return options.read_only ? functions.rbd_open_read_only : functions.rbd_open;
}

int close_image(const abi::Functions& functions, abi::rbd_image_t raw) noexcept {
    return functions.rbd_close ? functions.rbd_close(raw) : -ENOSYS;
}

}  // namespace

ImageState::~ImageState() {
    close();
    if (!watches.empty()) {
        // The handle was abandoned: librbd does not know it, and may still call the watches back.
        // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): nothing else can be done
        static_cast<void>(new std::vector<std::shared_ptr<watch::Watch>>(std::move(watches)));
    }
}

int ImageState::take_events(int most) noexcept {
    std::array<abi::rbd_completion_t, events_at_a_time> told{};
    int count = functions->rbd_poll_io_events(raw, told.data(), std::min(most, events_at_a_time));
    for (int at = 0; at < count; ++at) {
        functions->rbd_aio_release(told.at(static_cast<std::size_t>(at)));
    }
    if (count > 0) {
        untold.fetch_sub(count);
    }
    return count;
}

void ImageState::drain_events() noexcept {
    // librbd lists a completion only after its callback, if at all.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (untold.load() > 0 && std::chrono::steady_clock::now() < end) {
        if (take_events(events_at_a_time) <= 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

namespace {

// No crash was seen after half of this time, on a busy machine.
constexpr std::chrono::milliseconds parent_age{10};

bool has_parent(const abi::Functions& functions, abi::rbd_image_t raw) noexcept {
    uint64_t overlap = 0;
    return functions.rbd_get_overlap && functions.rbd_get_overlap(raw, &overlap) == 0 &&
           overlap > 0;
}

}  // namespace

std::chrono::steady_clock::duration ImageState::until_parent_closes() const noexcept {
    const auto left = parent_since.load() + parent_age - std::chrono::steady_clock::now();
    return left.count() > 0 && has_parent(*functions, raw) ? left : left.zero();
}

int ImageState::write_back() noexcept {
    if (!unsaved.any() || !functions->rbd_flush) {
        return 0;
    }
    if (library_info().release < 16) {
        // For a client on the blocklist, its flush never ends. So this asks the cluster something.
        std::array<char, 8> value{};
        std::size_t length = value.size();
        const bool blocked =
            functions->rbd_metadata_get &&
            functions->rbd_metadata_get(raw, "none", value.data(), &length) == -ESHUTDOWN;
        lost_writes.store(blocked);
        return blocked ? -ESHUTDOWN : 0;
    }
    int owner = 0;
    const int asked = functions->rbd_is_exclusive_lock_owner
                          ? functions->rbd_is_exclusive_lock_owner(raw, &owner)
                          : -ENOSYS;
    uint64_t features = 0;
    if (asked == 0 && owner == 0 && functions->rbd_get_features &&
        functions->rbd_get_features(raw, &features) == 0 &&
        (features & constants::FEATURE_EXCLUSIVE_LOCK) != 0) {
        // A flush would take the lock from the client that has it.
        return 0;
    }
    unsaved.begin_flush();
    const int result = functions->rbd_flush(raw);
    unsaved.end_flush(result >= 0);
    lost_writes.store(result < 0);
    return result;
}

int ImageState::before_close() noexcept {
    const int saved = write_back();
    if (read_only) {
        std::this_thread::sleep_for(until_parent_closes());
    }
    return saved;
}

bool ImageState::waits_before_close() const noexcept {
    return unsaved.any() || (read_only && until_parent_closes().count() > 0);
}

int ImageState::destroy() noexcept {
    // No use is left, so no other thread adds or ends a watch. Errors of librbd do not matter here.
    for (const auto& watch : watches) {
        watch->end();
    }
    watches.clear();
    if (notifies.load()) {
        drain_events();
    }
    if (closer) {
        return closer(raw);
    }
    if (lender) {
        return 0;
    }
    const int saved = before_close();
    const int closed = close_image(*functions, raw);
    return saved < 0 ? saved : closed;
}

void ImageState::forget(const watch::Watch* watch) noexcept {
    std::lock_guard<std::mutex> lock(watches_mutex);
    watches.erase(std::remove_if(watches.begin(), watches.end(),
                                 [&](const auto& one) { return one.get() == watch; }),
                  watches.end());
}

std::string OpenOptions::describe() const {
    return title() + (snapshot ? " at snapshot " + quoted(*snapshot) : std::string()) + place;
}

std::string OpenOptions::title() const {
    return (by_id ? "image id " : "image ") + quoted(name);
}

void OpenOptions::require(const abi::Functions& functions) const {
    opener(functions, *this).require();
    if (in_two_steps()) {
        functions.rbd_snap_set.require();
    }
}

void prepare_connection(const abi::Functions& functions, abi::rados_ioctx_t ioctx,
                        bool read_only) noexcept {
    if (!functions.rados_ioctx_get_cluster || !functions.rados_conf_set) {
        return;
    }
    const abi::rados_t cluster = functions.rados_ioctx_get_cluster(ioctx);
    look_for_restarted_osds(functions, cluster);
    if (!read_only && conf::is(functions, cluster, "rbd_cache", "true") &&
        conf::is(functions, cluster, "rbd_cache_policy", "writearound")) {
        functions.rados_conf_set(cluster, "rbd_cache", "false");
    }
}

int open_image(const abi::Functions& functions, abi::rados_ioctx_t ioctx,
               const OpenOptions& options, abi::rbd_image_t* raw) {
    prepare_connection(functions, ioctx, options.read_only);
    const char* snapshot = options.snapshot ? options.snapshot->c_str() : nullptr;
    const auto& open = opener(functions, options);
    if (!options.in_two_steps()) {
        return open(ioctx, options.name.c_str(), raw, snapshot);
    }
    int result = open(ioctx, options.name.c_str(), raw, nullptr);
    if (result >= 0) {
        if (has_parent(functions, *raw)) {
            // The snapshot may have another part of the parent, and then librbd opens it again.
            std::this_thread::sleep_for(parent_age);
        }
        result = functions.rbd_snap_set(*raw, snapshot);
        if (result < 0) {
            close_image(functions, *raw);
        }
    }
    return result;
}

Image Image::open(const IoCtx& ioctx, OpenOptions options) {
    auto call = ioctx.use();
    if (options.place.empty()) {
        options.place = ioctx.place();
    }
    options.require(call.functions());
    abi::rbd_image_t raw = nullptr;
    const int result = open_image(call.functions(), call.get(), options, &raw);
    check(result, [&] { return "error opening " + options.describe(); });
    Image image = adopt(ioctx.state()->cluster, raw, options);
    image.state_->set_guard(ioctx.state()->guard());
    image.set_connection(ioctx);
    return image;
}

void Image::set_connection(const IoCtx& ioctx) const {
    try {
        auto call = ioctx.use();
        if (call->rados_ioctx_get_cluster) {
            state_->pool_id = ioctx.pool_id();
            state_->pool_namespace = ioctx.get_namespace();
            state_->connection = call->rados_ioctx_get_cluster(call.get());
        }
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the context was closed: the
                              // connection is not known
    }
}

Image Image::open_beside(int64_t pool_id, const std::string& pool_namespace,
                         const OpenOptions& options) const {
    const abi::Functions& call = *state_->functions;
    const auto message = [&] { return "error opening " + options.describe(); };
    if (state_->connection == nullptr) {
        throw Error(ENOTCONN, message());
    }
    abi::rados_ioctx_t raw = nullptr;
    check(call.rados_ioctx_create2(state_->connection, pool_id, &raw), message);
    std::unique_ptr<void, void (*)(void*)> pool(
        raw, [](void* context) { rbdxx::functions().rados_ioctx_destroy(context); });
    call.rados_ioctx_set_namespace(raw, pool_namespace.c_str());
    return open(IoCtx::borrow(raw), options);
}

Image Image::adopt(std::shared_ptr<ClusterState> cluster, abi::rbd_image_t raw,
                   const OpenOptions& options) {
    const abi::Functions& functions = rbdxx::functions();
    return owned(
        [&] {
            auto state = std::make_shared<ImageState>(functions, raw, std::move(cluster),
                                                      options.title() + options.place);
            // An empty name means the head, too.
            if (options.snapshot && !options.snapshot->empty()) {
                state->snapshot_name = options.snapshot;
            }
            state->read_only = options.read_only;
            return Image(std::move(state));
        },
        [&] { close_image(functions, raw); });
}

Image Image::borrow(abi::rbd_image_t raw, std::shared_ptr<void> lender) {
    return Image(std::make_shared<ImageState>(rbdxx::functions(), raw, nullptr, "borrowed image",
                                              std::move(lender)));
}

void Image::close() {
    check_closed(state_->close());
}

void Image::check_closed(int result) const {
    check(result, [&] {
        return "error closing " + describe() +
               (state_->lost_writes.load() ? ": data that was written is not saved" : "");
    });
}

namespace {

// Returns a plain value that `function` writes through a pointer.
template <class T, class Call>
T value_of(const Image& image, const char* what, const Call& call) {
    auto use = image.use();
    T value{};
    check(call(use, &value),
          [&] { return "error getting the " + std::string(what) + " of " + image.describe(); });
    return value;
}

}  // namespace

ImageInfo Image::info() const {
    auto raw = value_of<abi::rbd_image_info_t>(*this, "status", [](auto& use, auto* value) {
        return use->rbd_stat(use.get(), value, sizeof *value);
    });
    ImageInfo info;
    info.size = raw.size;
    info.obj_size = raw.obj_size;
    info.num_objs = raw.num_objs;
    info.order = raw.order;
    info.block_name_prefix = raw.block_name_prefix;
    info.parent_pool = raw.parent_pool;
    info.parent_name = raw.parent_name;
    return info;
}

uint64_t Image::size() const {
    return value_of<uint64_t>(
        *this, "size", [](auto& use, auto* value) { return use->rbd_get_size(use.get(), value); });
}

std::string Image::name() const {
    auto call = use();
    return sized_string(
        [&](char* text, std::size_t* size) { return call->rbd_get_name(call.get(), text, size); },
        [&] { return "error getting the name of " + describe(); });
}

std::string Image::id() const {
    auto call = use();
    return sized_string(
        [&](char* text, std::size_t* size) { return call->rbd_get_id(call.get(), text, *size); },
        [&] { return "error getting the id of " + describe(); });
}

std::string Image::block_name_prefix() const {
    auto call = use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return call->rbd_get_block_name_prefix(call.get(), text, *size);
        },
        [&] { return "error getting the block name prefix of " + describe(); });
}

int64_t Image::data_pool_id() const {
    auto call = use();
    return check(call->rbd_get_data_pool_id(call.get()),
                 [&] { return "error getting the data pool id of " + describe(); });
}

uint64_t Image::features() const {
    return value_of<uint64_t>(*this, "features", [](auto& use, auto* value) {
        return use->rbd_get_features(use.get(), value);
    });
}

uint64_t Image::op_features() const {
    return value_of<uint64_t>(*this, "operation features", [](auto& use, auto* value) {
        return use->rbd_get_op_features(use.get(), value);
    });
}

uint64_t Image::flags() const {
    return value_of<uint64_t>(*this, "flags", [](auto& use, auto* value) {
        return use->rbd_get_flags(use.get(), value);
    });
}

bool Image::old_format() const {
    return value_of<uint8_t>(*this, "format", [](auto& use, auto* value) {
               return use->rbd_get_old_format(use.get(), value);
           }) != 0;
}

uint64_t Image::overlap() const {
    return value_of<uint64_t>(*this, "overlap", [](auto& use, auto* value) {
        return use->rbd_get_overlap(use.get(), value);
    });
}

uint64_t Image::stripe_unit() const {
    return value_of<uint64_t>(*this, "stripe unit", [](auto& use, auto* value) {
        return use->rbd_get_stripe_unit(use.get(), value);
    });
}

uint64_t Image::stripe_count() const {
    return value_of<uint64_t>(*this, "stripe count", [](auto& use, auto* value) {
        return use->rbd_get_stripe_count(use.get(), value);
    });
}

timespec Image::create_timestamp() const {
    return value_of<timespec>(*this, "create timestamp", [](auto& use, auto* value) {
        return use->rbd_get_create_timestamp(use.get(), value);
    });
}

timespec Image::access_timestamp() const {
    return value_of<timespec>(*this, "access timestamp", [](auto& use, auto* value) {
        return use->rbd_get_access_timestamp(use.get(), value);
    });
}

timespec Image::modify_timestamp() const {
    return value_of<timespec>(*this, "modify timestamp", [](auto& use, auto* value) {
        return use->rbd_get_modify_timestamp(use.get(), value);
    });
}

namespace {

// Whether the library's rbd_resize2 counts the header of loaded encryption, which rbd_get_size
// leaves out: 1 if so, 0 if not, -1 if it is not known yet.
std::atomic<int> resize_counts_header{-1};

// Writes zeroes over the end of an encrypted image that is about to shrink to `size`, from the
// first object that will be truncated. librbd truncates the stored bytes. If nothing has been
// stored there yet, the rest would decrypt to noise.
void write_last_zeroes(const Image& image, uint64_t size, uint64_t header) {
    constexpr uint64_t piece = uint64_t{1} << 20;
    constexpr uint64_t block = 4096;
    // By objects in order, because a striped image is not encrypted.
    const uint64_t object = image.info().obj_size;
    const uint64_t cut = (header + size) / object * object;
    std::vector<char> data(piece);
    for (uint64_t at = cut > header ? cut - header : 0; at < size; at += piece) {
        const uint64_t length = std::min(piece, size - at);
        io::read(image, data.data(), at, length);
        pipeline::for_each_run(data.data(), at, length, block,
                               [&](uint64_t start, uint64_t bytes, bool zero) {
                                   if (zero) {
                                       io::write(image, data.data() + start, at + start, bytes);
                                   }
                               });
    }
}

}  // namespace

void Image::resize(uint64_t size, bool allow_shrink, const Progress& progress) const {
    const auto message = [&] {
        return "error resizing " + describe() + " to " + std::to_string(size) + " bytes";
    };
    const SizeChange change(*this);
    const uint64_t present = allow_shrink ? 0 : this->size();
    if (size < present) {
        throw ArgumentError(message() + ": it has " + std::to_string(present) +
                            " bytes, and allow_shrink is false");
    }
    auto call = use();
    const uint64_t header = call.state().encryption_header;
    const auto with_header = [&](uint64_t bytes) {
        if (bytes > UINT64_MAX - header) {
            throw ArgumentError(message() + ": there is no room for the header of its encryption");
        }
        return bytes + header;
    };
    // librbd refuses an image that cannot be written.
    const auto can_be_written = [this] {
        return !state_->read_only && snapshot::position(*this).head();
    };
    if (header > 0 && !call->rbd_encryption_load2 && size > this->size() && overlap() > 0 &&
        can_be_written()) {
        // A librbd without layers counts the header as part of the parent's data. By the length of
        // the header, it would read data from the parent beyond the clone's old end.
        throw Error(EOPNOTSUPP,
                    message() +
                        ": its encryption is loaded, and the loaded librbd would read "
                        "data of the parent where the clone has none. Flatten it first, "
                        "through an Image that is open without encryption");
    }
    if (size < this->size() && can_be_written()) {
        migration::require_shrink(*this, size, message());
    }
    if (header > 0 && resize_counts_header < 0) {
        // No release documents it. Resize to the size with the header: this changes nothing if the
        // header counts; otherwise the image is larger for a moment.
        const uint64_t before = this->size();
        check(call->rbd_resize2(call.get(), with_header(before), false, report_progress,
                                progress_argument({})),
              message);
        const uint64_t after = this->size();
        resize_counts_header = after == before ? 1 : 0;
        allow_shrink = allow_shrink || after > before;
    }
    if (header > 0 && size < this->size() && can_be_written()) {
        write_last_zeroes(*this, size, header);
    }
    // A library that adds the header by itself ends the process if there is no room for it.
    const uint64_t whole = with_header(size);
    const uint64_t bytes = resize_counts_header == 1 ? whole : size;
    auto own = call->rbd_encryption_load2 ? encryption::open_stored(*this) : std::nullopt;
    const auto changed = own ? own->use() : use();
    lock::check_with_lock(
        own ? *own : *this,
        [&] {
            return changed->rbd_resize2(changed.get(), bytes, allow_shrink, report_progress,
                                        progress_argument(progress));
        },
        message);
    // If another handle has the exclusive lock, it makes the change. librbd cuts or refuses writes
    // through this handle at the old end until it is asked for the size. The news may come late.
    constexpr int most = 200;
    uint64_t now = 0;
    for (int left = most; left > 0 && call->rbd_get_size(call.get(), &now) == 0 && now != size;
         --left) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

namespace {

void flatten_here(const Image& image, const Progress& progress, const std::string& title) {
    auto call = image.use();
    lock::check_with_lock(
        image,
        [&] {
            return call->rbd_flatten_with_progress(call.get(), report_progress,
                                                   progress_argument(progress));
        },
        [&] { return "error flattening " + title; });
}

}  // namespace

void Image::flatten(const Progress& progress) const {
    auto call = use();
    if (state_->encryption_header > 0 && !call->rbd_encryption_load2 && overlap() > 0) {
        // A librbd without layers of encryption would encrypt the parent's header once more:
        // nothing could read the image then.
        throw Error(EOPNOTSUPP, "error flattening " + describe() +
                                    ": its encryption is loaded, and the loaded librbd would "
                                    "destroy the header. Open it without loading encryption to "
                                    "flatten it");
    }
    encryption::require_whole_blocks(*this, overlap(), "error flattening " + describe());
    const auto own = call->rbd_encryption_load2 ? std::nullopt : encryption::open_stored(*this);
    flatten_here(own ? *own : *this, progress, describe());
}

void Image::sparsify(uint64_t sparse_size, const Progress& progress) const {
    auto call = use();
    lock::check_with_lock(
        *this,
        [&] {
            return call->rbd_sparsify_with_progress(call.get(), sparse_size, report_progress,
                                                    progress_argument(progress));
        },
        [&] { return "error sparsifying " + describe(); });
}

void Image::rebuild_object_map(const Progress& progress) const {
    auto call = use();
    lock::check_with_lock(
        *this,
        [&] {
            return call->rbd_rebuild_object_map(call.get(), report_progress,
                                                progress_argument(progress));
        },
        [&] { return "error rebuilding the object map of " + describe(); });
}

void Image::update_features(uint64_t features, bool enabled) const {
    auto call = use();
    lock::check_with_lock(
        *this, [&] { return call->rbd_update_features(call.get(), features, enabled ? 1 : 0); },
        [&] { return "error updating features of " + describe(); });
}

void Image::flush() const {
    auto call = use();
    lock::check_with_lock(
        *this,
        [&] {
            state_->unsaved.begin_flush();
            const int result = call->rbd_flush(call.get());
            state_->unsaved.end_flush(result >= 0);
            return result;
        },
        [&] { return "error flushing " + describe(); });
}

void Image::save() const {
    auto call = use();
    check(call.state().write_back(),
          [&] { return "error saving what was written to " + describe(); });
}

void Image::invalidate_cache() const {
    auto call = use();
    check(call->rbd_invalidate_cache(call.get()),
          [&] { return "error invalidating the cache of " + describe(); });
}

}  // namespace rbdxx
