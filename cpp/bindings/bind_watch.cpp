#include <pybind11/stl.h>

#include <rbdxx/watch.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "support/bindings.hpp"
#include "support/callbacks.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"

namespace rbdxx::python {

namespace {

struct WatcherIterator : Listing {};

py::list list_watchers(const PyImage& image) {
    auto watchers = without_gil([&] { return watch::list(image); });
    py::list dicts;
    for (const auto& watcher : watchers) {
        py::dict dict;
        dict["addr"] = text(watcher.address);
        dict["id"] = watcher.id;
        dict["cookie"] = watcher.cookie;
        dicts.append(dict);
    }
    return dicts;
}

// A callback that librbd's threads request and that the thread of callbacks runs. It runs once for
// all requests that come before it runs.
class Event final : public engine::Item, public std::enable_shared_from_this<Event> {
public:
    explicit Event(py::object callback)
        : callback_(std::move(callback)), queue_(Callbacks::get().queue()) {}

    // `waiting` is told that the callback has returned, which answers the quiesce with that number.
    void post(const std::shared_ptr<watch::Watch>& waiting = nullptr,
              uint64_t number = 0) noexcept {
        number_.store(number);
        if (!posted_.exchange(true)) {
            self_ = shared_from_this();
            waiting_ = waiting;
            queue_->push(this);
        }
    }

    void deliver() noexcept override {
        std::shared_ptr<Event> self = std::move(self_);
        std::shared_ptr<watch::Watch> waiting = std::move(waiting_);
        posted_.store(false);
        const uint64_t number = number_.load();
        int result = 0;
        try {
            callback_();
        } catch (...) {
            result = failure();
        }
        if (waiting != nullptr) {
            without_gil([&] { waiting->complete(number, result); });
        }
    }

private:
    // The exception has no caller to go to: it is reported, and its errno is the answer.
    int failure() const noexcept {
        py::object error = current_exception();
        py::object code = py::getattr(error, "errno", py::none());
        int number =
            PyLong_Check(code.ptr()) != 0 ? static_cast<int>(PyLong_AsLong(code.ptr())) : 0;
        restore(error);
        PyErr_WriteUnraisable(callback_.ptr());
        return number > 0 ? -number : -EIO;
    }

    const py::object callback_;
    const engine::QueuePointer queue_;
    std::atomic<bool> posted_{false};
    std::atomic<uint64_t> number_{0};
    std::shared_ptr<Event> self_;
    std::shared_ptr<watch::Watch> waiting_;
};

// Keeps the events until nobody posts them any more. The thread of callbacks destroys it, because
// it owns Python objects and librbd's threads must not wait for the GIL.
struct Subscription final : engine::Item {
    void deliver() noexcept override { delete this; }

    std::vector<std::shared_ptr<Event>> events;
    engine::QueuePointer queue = Callbacks::get().queue();
};

std::shared_ptr<Event> event(Subscription& subscription, const py::object& callback,
                             const char* name) {
    if (callback.is_none()) {
        return nullptr;
    }
    if (PyCallable_Check(callback.ptr()) == 0) {
        throw py::type_error(std::string(name) + " must be callable, not " +
                             std::string(Py_TYPE(callback.ptr())->tp_name));
    }
    return subscription.events.emplace_back(std::make_shared<Event>(callback));
}

// What the Python object of a watch holds. librbd's threads may hold the watch as well.
struct PyWatch {
    std::shared_ptr<watch::Watch> watch;
};

// Calls `open(image, hooks)` with what the subscription keeps. If that fails, the subscription is
// destroyed.
template <class Open>
PyWatch subscribe(const PyImage& image, std::unique_ptr<Subscription> subscription,
                  watch::Hooks hooks, const Open& open) {
    hooks.ended = [raw = subscription.get()] {
        engine::QueuePointer queue = raw->queue;
        queue->push(raw);
    };
    PyWatch watch{without_gil([&] { return open(image.get(), std::move(hooks)); })};
    subscription.release();  // NOLINT(bugprone-unused-return-value): the watch owns it now
    return watch;
}

PyWatch on_update(const PyImage& image, const py::object& callback) {
    auto subscription = std::make_unique<Subscription>();
    auto changed = event(*subscription, callback, "callback");
    if (changed == nullptr) {
        throw py::type_error("callback must be callable, not None");
    }
    watch::Hooks hooks;
    hooks.changed = [raw = changed.get()] { raw->post(); };
    return subscribe(image, std::move(subscription), std::move(hooks), watch::Watch::on_update);
}

PyWatch on_quiesce(const PyImage& image, const py::object& quiesce, const py::object& unquiesce,
                   std::optional<double> timeout) {
    if (timeout && !(*timeout > 0)) {
        throw py::value_error("timeout must be more than 0 seconds, or None, not " +
                              std::string(py::str(py::float_(*timeout))));
    }
    // A day is in effect no limit, and its number of nanoseconds does not overflow.
    const std::chrono::duration<double> limit(std::min(timeout.value_or(0), 86400.0));
    auto subscription = std::make_unique<Subscription>();
    auto before = event(*subscription, quiesce, "quiesce");
    auto after = event(*subscription, unquiesce, "unquiesce");
    watch::Hooks hooks;
    if (before != nullptr) {
        hooks.quiesce = [raw = before.get()](const auto& waiting, uint64_t number) {
            raw->post(waiting, number);
        };
    }
    if (after != nullptr) {
        hooks.unquiesce = [raw = after.get()] { raw->post(); };
    }
    return subscribe(image, std::move(subscription), std::move(hooks),
                     [&](const Image& open, watch::Hooks made) {
                         return watch::Watch::on_quiesce(
                             open, std::move(made),
                             std::chrono::duration_cast<std::chrono::nanoseconds>(limit));
                     });
}

}  // namespace

void bind_watch(py::module_& m, ImageClass& image) {
    bind_listing<WatcherIterator, const PyImage&>(
        m, "WatcherIterator", list_watchers,
        "Who watches the image, each a dict of addr, id (the client's number) and cookie.\n\n"
        "Implements: rbd_watchers_list",
        py::arg("image"));
    define(
        image, "watchers_list",
        [m](const py::object& self) { return m.attr("WatcherIterator")(self); },
        R"(Iterate over the clients that watch the image, which are those that have it open for writing.

Returns
-------
An iterator of dicts of `addr`, `id` and `cookie`.

Implements: rbd_watchers_list)");

    py::class_<PyWatch, Unlocked<PyWatch>> type(
        m, "Watch",
        "A watch of an image, which Image.on_update and Image.on_quiesce return.\n\n"
        "It lasts until close(), or until the image is closed, even if nobody keeps a reference.\n"
        "It is a context manager, which closes it.");
    const auto close = [](const PyWatch& self) { without_gil([&] { self.watch->close(); }); };
    define(
        type, "close", close,
        "Ends the watch: once this returns, no call of its callbacks begins. Closing twice is no\n"
        "error.\n\nImplements: rbd_update_unwatch, rbd_quiesce_unwatch");
    type.def_property_readonly(
        "closed", [](const PyWatch& self) { return self.watch->closed(); },
        "Whether the watch has ended.");
    define_context<const PyWatch>(type, close, "The watch itself.",
                                  "Ends the watch; never hides the body's exception.");
    define(image, "on_update", on_update,
           R"(Call a function whenever any client has changed the image.

Changes are those of its size, its snapshots and its features. Changes in quick succession may
be one call.

Parameters
----------
callback
    `callback()`. It runs in the thread of callbacks. Its exceptions go to `sys.unraisablehook`.

Returns
-------
The watch; close it to end the calls.

Implements: rbd_update_watch)",
           py::arg("callback"));
    define_gated(image, "rbd_quiesce_watch", "on_quiesce", on_quiesce,
                 R"(Call functions before and after anyone takes a snapshot of the image.

The snapshot waits for `quiesce` to return. Either function may be None.

Parameters
----------
quiesce
    `quiesce()`, called before the snapshot.
unquiesce
    `unquiesce()`, called after it.
timeout
    How many seconds `quiesce` may take. After that the snapshot fails with `ImageBusy`, and
    `quiesce` goes on. None means no limit. Keep it below 5 seconds for each of the attempts in
    `rbd_quiesce_notification_attempts`, 10 by default: librbd's own limit leaves the image
    without snapshots for minutes.

Returns
-------
The watch; close it to end the calls.

Notes
-----
They run in the thread of asynchronous callbacks; what they raise goes to `sys.unraisablehook`.
If `quiesce` raises, the snapshot fails with the exception's errno (EIO if it has none), unless
it is taken with `RBD_SNAP_CREATE_IGNORE_QUIESCE_ERROR`.

`quiesce` may read. It may write and flush if `is_exclusive_lock_owner` returns true. The client
that takes the snapshot keeps the lock. Without the lock, a write or flush waits for the end of
the snapshot, and the snapshot waits for `quiesce`. There is nothing to flush then either,
because what this client wrote went to the cluster with the lock. `quiesce` must not change the
image's snapshots.

Implements: rbd_quiesce_watch, rbd_quiesce_complete)",
                 py::arg("quiesce"), py::arg("unquiesce") = py::none(), py::kw_only(),
                 py::arg("timeout") = 40.0);
}

}  // namespace rbdxx::python
