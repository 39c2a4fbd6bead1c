#include <rbdxx/detail/start_thread.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/watch.hpp>

#include <algorithm>
#include <cerrno>

namespace rbdxx::watch {

std::vector<Watcher> list(const Image& image) {
    auto use = image.use();
    auto records = sized_records<abi::rbd_image_watcher_t>(
        [&](auto* array, std::size_t* count) {
            return use->rbd_watchers_list(use.get(), array, count);
        },
        [&] { return "error listing watchers of " + image.describe(); }, std::size_t{8});
    Records<abi::rbd_image_watcher_t> owned(std::move(records),
                                            use.functions().rbd_watchers_list_cleanup);
    std::vector<Watcher> watchers;
    for (const auto& record : owned) {
        watchers.push_back({text_of(record.addr), record.id, record.cookie});
    }
    return watchers;
}

template <class Register>
std::shared_ptr<Watch> Watch::open(const Image& image, Hooks hooks, bool quiesces,
                                   std::chrono::nanoseconds limit, const Register& call) {
    auto use = image.use();
    std::shared_ptr<Watch> watch(new Watch(image, std::move(hooks), quiesces));
    watch->limit_ = limit;
    watch->functions_ = &use.functions();
    watch->raw_ = use.get();
    ImageState& state = use.state();
    {
        // Before librbd knows the watch: from then on the image must keep it.
        std::lock_guard<std::mutex> lock(state.watches_mutex);
        state.watches.push_back(watch);
    }
    int result = 0;
    try {
        result = call(use.functions(), use.get(), watch.get());
    } catch (...) {
        state.forget(watch.get());
        throw;
    }
    if (result < 0) {
        state.forget(watch.get());
        throw Error(-result, "error watching " + image.describe());
    }
    std::lock_guard<std::mutex> lock(watch->mutex_);
    watch->open_ = true;
    return watch;
}

std::shared_ptr<Watch> Watch::on_update(const Image& image, Hooks hooks) {
    return open(image, std::move(hooks), false, {},
                [](const abi::Functions& functions, abi::rbd_image_t raw, Watch* watch) {
                    functions.rbd_update_unwatch.require();
                    return functions.rbd_update_watch(raw, &watch->handle_, changed, watch);
                });
}

std::shared_ptr<Watch> Watch::on_quiesce(const Image& image, Hooks hooks,
                                         std::chrono::nanoseconds limit) {
    return open(image, std::move(hooks), true, limit,
                [](const abi::Functions& functions, abi::rbd_image_t raw, Watch* watch) {
                    functions.rbd_quiesce_unwatch.require();
                    functions.rbd_quiesce_complete.require();
                    return functions.rbd_quiesce_watch(raw, quiesce, unquiesce, watch,
                                                       &watch->handle_);
                });
}

void Watch::changed(void* watch) noexcept {
    const auto& changed = static_cast<Watch*>(watch)->hooks_.changed;
    if (changed) {
        changed();
    }
}

void Watch::quiesce(void* argument) noexcept {
    auto* watch = static_cast<Watch*>(argument);
    uint64_t number = 0;
    {
        std::lock_guard<std::mutex> lock(watch->mutex_);
        number = ++watch->quiesces_seen_;
        watch->waiting_ = number;
    }
    if (watch->hooks_.quiesce) {
        watch->limit_wait(number);
        watch->hooks_.quiesce(watch->shared_from_this(), number);
    } else {
        watch->complete(number, 0);
    }
}

void Watch::limit_wait(uint64_t number) noexcept {
    if (limit_ == std::chrono::nanoseconds{0}) {
        return;
    }
    // Without a thread, only librbd's own limit holds.
    detail::try_start_thread([self = shared_from_this(), number] {
        {
            std::unique_lock<std::mutex> lock(self->mutex_);
            self->answered_.wait_for(lock, self->limit_, [&] { return self->waiting_ != number; });
        }
        self->complete(number, -EBUSY);
    });
}

void Watch::unquiesce(void* argument) noexcept {
    auto* watch = static_cast<Watch*>(argument);
    if (watch->hooks_.unquiesce) {
        watch->hooks_.unquiesce();
    }
}

void Watch::complete(uint64_t number, int result) noexcept {
    // Locked during the call, because the image may be closed once the watch has ended.
    std::lock_guard<std::mutex> lock(mutex_);
    if (number != 0 && waiting_ == number) {
        answer(result);
    }
}

void Watch::answer(int result) noexcept {
    waiting_ = 0;
    answered_.notify_all();
    // The sender takes these two codes for a lost message, and asks again without an end.
    const bool misread = result == -ETIMEDOUT || result == -ERESTART;
    functions_->rbd_quiesce_complete(raw_, handle_, misread ? -EBUSY : result);
}

int Watch::end() noexcept {
    bool open = false;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        open = open_;
        open_ = false;
    }
    if (!open) {
        return 0;
    }
    {
        // librbd waits for the answer to a quiesce before it ends a watch.
        std::lock_guard<std::mutex> lock(mutex_);
        if (waiting_ != 0) {
            answer(-ESHUTDOWN);
        }
    }
    int result = quiesces_ ? functions_->rbd_quiesce_unwatch(raw_, handle_)
                           : functions_->rbd_update_unwatch(raw_, handle_);
    ended_.store(true);
    if (hooks_.ended) {
        hooks_.ended();
    }
    return result;
}

void Watch::close() {
    std::shared_ptr<Watch> self = shared_from_this();
    std::shared_ptr<ImageState> image = image_.lock();
    if (image == nullptr) {
        return;
    }
    try {
        Use<ImageState> use(image);
        int result = end();
        image->forget(this);
        check(result, [&] { return "error ending a watch of " + image->describe(); });
    } catch (const ClosedError&) {  // NOLINT(bugprone-empty-catch): it ends with the image
    }
}

}  // namespace rbdxx::watch
