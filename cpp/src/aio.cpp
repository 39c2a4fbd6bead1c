#include <rbdxx/aio.hpp>
#include <rbdxx/detail/image_io.hpp>
#include <rbdxx/detail/start_thread.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/watch.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace rbdxx::aio {

namespace {

// Submits `call(functions, raw image, completion)` on an image. `Kind` is one of image_io.hpp for a
// call that reads, writes or flushes data.
template <class Kind = detail::ImageIo, class Call, class Describe>
void submit(Operation& operation, QueuePointer queue, const Image& image, const Call& call,
            const Describe& describe) {
    const std::shared_ptr<ImageState>& state = image.state();
    const abi::Functions& functions = *state->functions;
    abi::rbd_image_t raw = state->raw;
    const auto& context = [&]() -> const typename Kind::Context& {
        if constexpr (std::is_base_of_v<detail::ImageIo, Kind>) {
            return *state;
        } else {
            return functions;
        }
    }();
    operation.submit<Kind>(
        std::move(queue), state, context,
        [&](abi::rbd_completion_t completion) -> ssize_t {
            return call(functions, raw, completion);
        },
        describe);
}

}  // namespace

void read(Operation& operation, QueuePointer queue, const Image& image, char* data, uint64_t offset,
          uint64_t length, int flags) {
    submit(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return flags == 0 ? call.rbd_aio_read(raw, offset, length, data, completion)
                              : call.rbd_aio_read2(raw, offset, length, data, completion, flags);
        },
        [&] { return io::region("reading", image, offset, length); });
}

void write(Operation& operation, QueuePointer queue, const Image& image, const char* data,
           uint64_t offset, uint64_t length, int flags) {
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return flags == 0 ? call.rbd_aio_write(raw, offset, length, data, completion)
                              : call.rbd_aio_write2(raw, offset, length, data, completion, flags);
        },
        [&] { return io::region("writing", image, offset, length); });
}

namespace {

uint64_t total(const iovec* vectors, int count) {
    uint64_t sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += vectors[i].iov_len;
    }
    return sum;
}

}  // namespace

void readv(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
           int count, uint64_t offset) {
    submit(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_readv(raw, vectors, count, offset, completion);
        },
        [&] { return io::region("reading", image, offset, total(vectors, count)); });
}

void writev(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
            int count, uint64_t offset) {
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_writev(raw, vectors, count, offset, completion);
        },
        [&] { return io::region("writing", image, offset, total(vectors, count)); });
}

void discard(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
             uint64_t length) {
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_discard(raw, offset, length, completion);
        },
        [&] { return io::region("discarding", image, offset, length); });
}

void write_zeroes(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
                  uint64_t length, int zero_flags) {
    const int flags = io::known_zero_flags(zero_flags);
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_write_zeroes(raw, offset, length, completion, flags, 0);
        },
        [&] { return io::region("zeroing", image, offset, length); });
}

void write_same(Operation& operation, QueuePointer queue, const Image& image, const char* data,
                uint64_t size, uint64_t offset, uint64_t length, int flags) {
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_writesame(raw, offset, length, data, size, completion, flags);
        },
        [&] { return io::region("writing", image, offset, length); });
}

void compare_and_write(Operation& operation, QueuePointer queue, const Image& image,
                       const char* expected, const char* data, uint64_t offset, uint64_t length,
                       uint64_t* mismatch, int flags) {
    if (length == 0) {
        // librbd would end the process. A write of nothing has the same errors.
        write(operation, std::move(queue), image, data, offset, 0, flags);
        return;
    }
    submit(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_compare_and_write(raw, offset, length, expected, data, completion,
                                                  mismatch, flags);
        },
        [&] { return io::region("comparing and writing", image, offset, length); });
}

void compare_and_writev(Operation& operation, QueuePointer queue, const Image& image,
                        const iovec* expected, int expected_count, const iovec* vectors, int count,
                        uint64_t offset, uint64_t* mismatch, int flags) {
    if (total(vectors, count) == 0 && total(expected, expected_count) == 0) {
        write(operation, std::move(queue), image, "", offset, 0, flags);
        return;
    }
    submit(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_compare_and_writev(raw, offset, expected, expected_count, vectors,
                                                   count, completion, mismatch, flags);
        },
        [&] { return io::region("comparing and writing", image, offset, total(vectors, count)); });
}

std::optional<detail::Size> known_size(const Image& image, uint64_t end) noexcept {
    const auto size = image.state()->known_size->get();
    return size && size->bytes >= end ? size : std::nullopt;
}

bool changed_since(const Image& image, const detail::Size& size) noexcept {
    return image.state()->known_size->outdated(size);
}

namespace {

int code_of(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        return error.code() > 0 ? -error.code() : -EIO;
    } catch (...) {
        return -ENOMEM;
    }
}

// Makes librbd report changes from now on. This needs no I/O.
void watch_size(const Image& image, const std::shared_ptr<detail::KnownSize>& known) {
    if (known->is_watched() || image.state()->lender != nullptr) {
        return;
    }
    try {
        watch::Watch::on_update(image, {[known] { known->changed(); }, {}, {}, {}});
        known->watched();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): then each caller asks librbd
    }
}

int learn_size(const Image& image, detail::Size* size) noexcept {
    ImageState& state = *image.state();
    const std::shared_ptr<detail::KnownSize>& known = state.known_size;
    try {
        watch_size(image, known);
        const uint64_t version = known->version();
        uint64_t bytes = 0;
        const int code = state.functions->rbd_get_size(state.raw, &bytes);
        *size = known->learn(bytes, version);
        return code;
    } catch (...) {
        return code_of(std::current_exception());
    }
}

// For all callers that wait. Callers that come during the call wait for the next answer.
void ask_for_waiting(const Image& image) noexcept {
    detail::KnownSize& known = *image.state()->known_size;
    std::vector<detail::KnownSize::Waiting> waiting;
    for (;;) {
        {
            std::lock_guard<std::mutex> lock(known.waiting_mutex);
            waiting.swap(known.waiting);
            known.asking = !waiting.empty();
        }
        if (waiting.empty()) {
            return;
        }
        detail::Size size;
        const int code = learn_size(image, &size);
        for (const auto& one : waiting) {
            *one.size = size;
            one.then(code);
        }
        waiting.clear();
    }
}

}  // namespace

void ask_size(const Image& image, detail::Size* size, std::function<void(int code)> then) {
    detail::KnownSize& known = *image.state()->known_size;
    std::lock_guard<std::mutex> lock(known.waiting_mutex);
    known.waiting.push_back({size, std::move(then)});
    if (known.asking) {
        return;
    }
    try {
        detail::start_thread([image] { ask_for_waiting(image); },
                             [&] { return "ask for the size of " + image.describe(); });
    } catch (...) {
        known.waiting.pop_back();
        throw;
    }
    known.asking = true;
}

void in_thread(Operation& operation, QueuePointer queue, const Image& image,
               std::function<void()> work) {
    operation.begin(std::move(queue), image.state());
    try {
        detail::start_thread(
            [&operation, work = std::move(work)] {
                int code = 0;
                try {
                    work();
                } catch (...) {
                    code = code_of(std::current_exception());
                }
                operation.complete(code);
            },
            [&] { return "work on " + image.describe(); });
    } catch (...) {
        operation.withdraw();
        throw;
    }
}

namespace {

// For all operations that wait.
void release_for_refused(const Image& image, ssize_t result) noexcept {
    ImageState& state = *image.state();
    lock::release_left_behind(image, lock::released(image), result);
    std::vector<std::pair<Operation*, unsigned>> refused;
    {
        std::lock_guard<std::mutex> lock(state.refused_mutex);
        refused.swap(state.refused);
    }
    for (const auto& [operation, before] : refused) {
        operation->complete(lock::released(image) != before ? 1 : 0);
    }
}

}  // namespace

void release_left_behind(Operation& operation, QueuePointer queue, const Image& image,
                         unsigned before, ssize_t result) {
    ImageState& state = *image.state();
    operation.begin(std::move(queue), image.state());
    std::lock_guard<std::mutex> lock(state.refused_mutex);
    try {
        state.refused.emplace_back(&operation, before);
        if (state.refused.size() == 1) {
            std::thread([image, result] { release_for_refused(image, result); }).detach();
        }
    } catch (...) {
        if (!state.refused.empty() && state.refused.back().first == &operation) {
            state.refused.pop_back();
        }
        operation.withdraw();
        throw;
    }
}

void write_with_crc32c(Operation& operation, QueuePointer queue, const Image& image,
                       const char* data, uint64_t offset, uint64_t length, uint32_t crc,
                       int flags) {
    submit<detail::ImageWrite>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_write_with_crc32c(raw, offset, length, data, crc, completion,
                                                  flags);
        },
        [&] { return io::region("writing", image, offset, length); });
}

void flush(Operation& operation, QueuePointer queue, const Image& image) {
    submit<detail::ImageFlush>(
        operation, std::move(queue), image,
        [](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_flush(raw, completion);
        },
        [&] { return "error flushing " + image.describe(); });
}

namespace {

// Opens the image in a separate thread, because rbd_snap_set has no asynchronous form.
void open_in_thread(Operation& operation, QueuePointer queue, const IoCtx& ioctx,
                    const OpenOptions& options, abi::rbd_image_t* raw) {
    const abi::Functions& functions = *ioctx.state()->functions;
    options.require(functions);
    operation.begin(std::move(queue), ioctx.state());
    try {
        detail::start_thread(
            [&operation, &functions, context = ioctx.state()->raw, options, raw] {
                operation.complete(open_image(functions, context, options, raw));
            },
            [&] { return "open " + options.describe(); });
    } catch (...) {
        operation.withdraw();
        throw;
    }
}

}  // namespace

void open(Operation& operation, QueuePointer queue, const IoCtx& ioctx, const OpenOptions& options,
          abi::rbd_image_t* raw) {
    if (options.in_two_steps()) {
        open_in_thread(operation, std::move(queue), ioctx, options, raw);
        return;
    }
    auto use = ioctx.use();
    const abi::Functions& call = use.functions();
    prepare_connection(call, use.get(), options.read_only);
    const auto& open = options.by_id       ? options.read_only ? call.rbd_aio_open_by_id_read_only
                                                               : call.rbd_aio_open_by_id
                       : options.read_only ? call.rbd_aio_open_read_only
                                           : call.rbd_aio_open;
    open.require();
    const auto& cluster = use.state().cluster;
    const bool shared = cluster != nullptr && cluster->others.load() > 0;
    use.state().submitted_later(operation.submit_by<engine::Librbd>(
        use.state().lane(), 0, shared, std::move(queue), ioctx.state(), call,
        [&open, context = use.get(), name = options.name, snapshot = options.snapshot,
         raw](void* completion) -> ssize_t {
            return open(context, name.c_str(), raw, snapshot ? snapshot->c_str() : nullptr,
                        completion);
        },
        [&] { return "error opening " + options.describe(); }));
}

namespace {

// Keeps the connection while the library closes an image that has no other owner left.
struct Closing final : Handle {
    explicit Closing(std::shared_ptr<ImageState> image)
        : state(std::move(image)), cluster(state->cluster) {}
    ~Closing() override { Handle::close(); }
    std::string describe() const override { return state->describe(); }
    int destroy() noexcept override { return 0; }
    void release() noexcept override { cluster.reset(); }

    std::shared_ptr<ImageState> state;
    std::shared_ptr<ClusterState> cluster;
};

// Closes an image that no call uses any more, in one of librbd's threads.
void close_in_library(Operation& operation, const ImageState& image) noexcept {
    const abi::Functions& functions = *image.functions;
    operation.submit_begun<engine::Librbd>(functions, [&](abi::rbd_completion_t completion) {
        return functions.rbd_aio_close(image.raw, completion);
    });
}

// Writes the cache back, which rbd_aio_close does without a report, and closes the image.
void save_and_close(Operation& operation, ImageState& image) noexcept {
    const int saved = image.before_close();
    if (saved >= 0 || !image.functions->rbd_close) {
        close_in_library(operation, image);
        return;
    }
    image.functions->rbd_close(image.raw);
    operation.complete_begun<engine::Librbd>(*image.functions, saved);
}

}  // namespace

void close(Operation& operation, QueuePointer queue, const Image& image) {
    const std::shared_ptr<ImageState>& state = image.state();
    const abi::Functions& functions = *state->functions;
    auto use = image.use();
    auto closing = std::make_shared<Closing>(state);
    std::function<int(abi::rbd_image_t)> closer;
    const bool borrowed = state->lender != nullptr;  // its lender closes it
    if (borrowed) {
        closer = [&operation](abi::rbd_image_t) noexcept {
            operation.complete(0);
            return 0;
        };
        operation.begin(std::move(queue), std::move(closing));
    } else {
        functions.rbd_aio_close.require();
        // The operation keeps the state.
        closer = [&operation, &closed = *state](abi::rbd_image_t) noexcept {
            // This thread may be librbd's, and must not wait.
            if (!closed.waits_before_close() ||
                !detail::try_start_thread([&operation = operation, &closed = closed] {
                    save_and_close(operation, closed);
                })) {
                close_in_library(operation, closed);
            }
            return 0;
        };
        operation.begin<engine::Librbd>(std::move(queue), std::move(closing), functions);
    }
    if (!state->close_later([&] { state->closer = std::move(closer); })) {
        borrowed ? operation.withdraw() : operation.withdraw<engine::Librbd>(functions);
        throw ClosedError(image.describe() + " is closed");
    }
}

void mirror_image_get_info(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_info_t* info) {
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_get_info(raw, info, sizeof *info, completion);
        },
        [&] { return "error getting the mirror info of " + image.describe(); });
}

void mirror_image_get_mode(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_mode_t* mode) {
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_get_mode(raw, mode, completion);
        },
        [&] { return "error getting the mirror mode of " + image.describe(); });
}

void mirror_image_create_snapshot(Operation& operation, QueuePointer queue, const Image& image,
                                  uint32_t flags, uint64_t* snapshot_id) {
    image.save();
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_create_snapshot(raw, flags, snapshot_id, completion);
        },
        [&] { return "error creating a mirror snapshot of " + image.describe(); });
}

void mirror_image_promote(Operation& operation, QueuePointer queue, const Image& image,
                          bool force) {
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_promote(raw, force, completion);
        },
        [&] { return "error promoting " + image.describe() + " to primary"; });
}

void mirror_image_demote(Operation& operation, QueuePointer queue, const Image& image) {
    image.save();
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_demote(raw, completion);
        },
        [&] { return "error demoting " + image.describe() + " to secondary"; });
}

void mirror_image_get_status(Operation& operation, QueuePointer queue, const Image& image,
                             abi::rbd_mirror_image_global_status_t* status) {
    submit<engine::Librbd>(
        operation, std::move(queue), image,
        [&](const abi::Functions& call, abi::rbd_image_t raw, abi::rbd_completion_t completion) {
            return call.rbd_aio_mirror_image_get_global_status(raw, status, sizeof *status,
                                                               completion);
        },
        [&] { return "error getting the mirror status of " + image.describe(); });
}

void set_notification(const Image& image, int descriptor, int type) {
    auto use = image.use();
    use.functions().rbd_poll_io_events.require();
    use.functions().rbd_set_image_notification.require();
    // Set before librbd lists the first completion, which must not be freed before it is polled.
    const bool before = use.state().notifies.exchange(true);
    int result = use->rbd_set_image_notification(use.get(), descriptor, type);
    if (result < 0) {
        use.state().notifies.store(before);
    }
    check(result, [&] { return "error setting the notification of " + image.describe(); });
}

int poll_events(const Image& image, int most) {
    auto use = image.use();
    use.functions().rbd_poll_io_events.require();
    int total = 0;
    int count = 0;
    do {
        count = check(use.state().take_events(most - total),
                      [&] { return "error polling the completions of " + image.describe(); });
        total += count;
    } while (count == ImageState::events_at_a_time && total < most);
    return total;
}

}  // namespace rbdxx::aio
