#include <pybind11/stl.h>

#include <rbdxx/rados/watch.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../support/buffer.hpp"
#include "../support/collected.hpp"
#include "../support/define.hpp"
#include "../support/errors.hpp"
#include "../support/gil.hpp"
#include "../support/work.hpp"
#include "bindings.hpp"
#include "completion.hpp"

namespace rbdxx::python::rados {

namespace {

namespace watch = topics::watch;

using Shared = std::shared_ptr<watch::Watch>;

constexpr uint64_t usual_timeout_ms = 5000;

// The Python callbacks of a watch. Any thread may drop them; they are queued for the thread of
// callbacks, which destroys them.
struct Receiver final : engine::Item {
    void deliver() noexcept override { delete this; }

    py::object callback;
    py::object error_callback;
};

// One call of a callback.
class Event : public engine::Item {
public:
    Event(std::shared_ptr<const Receiver> receiver, Shared watch)
        : receiver_(std::move(receiver)), watch_(std::move(watch)) {}
    void deliver() noexcept override {
        if (!watch_->closed()) {
            run(*receiver_, *watch_);
        }
        without_gil([&] {
            end(*watch_);
            // The last share ends the watch.
            watch_.reset();
        });
        delete this;
    }

protected:
    // Called with the GIL.
    virtual void run(const Receiver& receiver, watch::Watch& watch) noexcept = 0;
    // Called without the GIL.
    virtual void end(watch::Watch& /*watch*/) noexcept {}

private:
    const std::shared_ptr<const Receiver> receiver_;
    Shared watch_;
};

// Converts what a callback returned to the reply.
std::string reply_of(const py::object& returned) {
    if (returned.is_none()) {
        return {};
    }
    if (PyUnicode_Check(returned.ptr()) != 0) {
        return returned.cast<std::string>();
    }
    if (PyObject_CheckBuffer(returned.ptr()) == 0) {
        throw py::type_error("a watch's callback must return str, bytes or None, not " +
                             std::string(Py_TYPE(returned.ptr())->tp_name));
    }
    Buffer buffer(returned, Buffer::Access::read);
    return {buffer.data(), buffer.size()};
}

class NotifyEvent final : public Event {
public:
    NotifyEvent(std::shared_ptr<const Receiver> receiver, Shared watch, watch::Notice&& notice)
        : Event(std::move(receiver), std::move(watch)), notice_(std::move(notice)) {}

private:
    void run(const Receiver& receiver, watch::Watch& on) noexcept override {
        const py::object callback = receiver.callback;
        if (!callback) {
            return;
        }
        try {
            py::object data = py::none();
            if (!notice_.data.empty()) {
                data = py::bytes(notice_.data);
            }
            reply_ = reply_of(callback(notice_.notify_id, notice_.notifier_id, on.id(), data));
        } catch (...) {
            report_current(callback);
        }
    }
    // Also if the callback failed, because the notifier waits.
    void end(watch::Watch& on) noexcept override { on.acknowledge(notice_.notify_id, reply_); }

    const watch::Notice notice_;
    std::string reply_;
};

class FailureEvent final : public Event {
public:
    FailureEvent(std::shared_ptr<const Receiver> receiver, Shared watch, int error)
        : Event(std::move(receiver), std::move(watch)), error_(error) {}

private:
    void run(const Receiver& receiver, watch::Watch& on) noexcept override {
        const py::object callback = receiver.error_callback;
        if (!callback) {
            return;
        }
        try {
            callback(on.id(), error_);
        } catch (...) {
            report_current(callback);
        }
    }

    const int error_;
};

// A watch, and the objects that its callbacks refer to, for the garbage collector.
class PyWatch {
public:
    PyWatch(const IoCtx& ioctx, const std::string& object, const py::object& callback,
            const py::object& error_callback, uint32_t timeout) {
        // The queue and its owner live as long as the process.
        engine::Queue* const queue = Callbacks::get().queue().get();
        receiver_ = std::shared_ptr<Receiver>(new Receiver,
                                              [queue](Receiver* unused) { queue->push(unused); });
        receiver_->callback = callback;
        watch::Hooks hooks;
        hooks.notified = [receiver = std::shared_ptr<const Receiver>(receiver_), queue](
                             const Shared& watch, watch::Notice&& notice) {
            queue->push(new NotifyEvent(receiver, watch, std::move(notice)));
        };
        if (!error_callback.is_none()) {
            receiver_->error_callback = error_callback;
            hooks.failed = [receiver = std::shared_ptr<const Receiver>(receiver_), queue](
                               const Shared& watch, int error) {
                queue->push(new FailureEvent(receiver, watch, error));
            };
        }
        watch_ = without_gil(
            [&] { return watch::Watch::open(ioctx, object, std::move(hooks), timeout); });
    }
    // Called without the GIL.
    ~PyWatch() {
        if (watch_ != nullptr) {
            watch_->abandon();
        }
    }
    PyWatch(const PyWatch&) = delete;
    PyWatch& operator=(const PyWatch&) = delete;

    watch::Watch& get() const noexcept { return *watch_; }

    int traverse(visitproc visit, void* arg) const {
        Py_VISIT(receiver_->callback.ptr());
        Py_VISIT(receiver_->error_callback.ptr());
        return 0;
    }
    void clear() {
        py::object callback = std::move(receiver_->callback);
        py::object error_callback = std::move(receiver_->error_callback);
    }

private:
    std::shared_ptr<Receiver> receiver_;
    Shared watch_;
};

void require_callback(const py::object& callback, const char* name) {
    if (PyCallable_Check(callback.ptr()) == 0) {
        throw py::type_error(std::string(name) + " must be callable, not " +
                             Py_TYPE(callback.ptr())->tp_name);
    }
}

Unlocked<PyWatch> open_watch(const IoCtx& ioctx, const Name& object, const py::object& callback,
                             const py::object& error_callback, const std::optional<U32>& timeout) {
    require_callback(callback, "callback");
    if (!error_callback.is_none()) {
        require_callback(error_callback, "error_callback");
    }
    return Unlocked<PyWatch>(
        new PyWatch(ioctx, object, callback, error_callback, timeout ? timeout->value : 0));
}

struct NotifyCompletion final : Completion {
    py::object extras() override {
        if (result() < 0) {
            return py::make_tuple(result(), py::none(), py::none());
        }
        const watch::Answers found = reply.answers();
        py::list answers;
        for (const auto& answer : found.answers) {
            py::object text = py::str();
            if (!answer.reply.empty()) {
                text = py::bytes(answer.reply);
            }
            answers.append(py::make_tuple(answer.notifier_id, answer.watch_id, text));
        }
        py::list missing;
        for (const auto& [client, id] : found.missing) {
            missing.append(py::make_tuple(client, id));
        }
        return py::make_tuple(result(), answers, missing);
    }
    watch::Reply reply;
};

// Converts a message: text, or the bytes of a buffer.
std::string message_of(const py::object& message) {
    if (PyUnicode_Check(message.ptr()) != 0) {
        return message.cast<std::string>();
    }
    Buffer buffer(message, Buffer::Access::read);
    return {buffer.data(), buffer.size()};
}

py::object submit_notify(const py::object& self, const Name& object, const py::object& oncomplete,
                         const py::object& message, const U64& timeout_ms) {
    const std::string sent = message_of(message);
    return submit(std::make_unique<NotifyCompletion>(), self, oncomplete, py::none(),
                  [&](NotifyCompletion& made, engine::QueuePointer queue, const IoCtx& on) {
                      watch::notify(made, std::move(queue), on, object, sent.data(), sent.size(),
                                    timeout_ms, made.reply);
                  });
}

struct AwaitedNotify final : watch::Notify {
    using Notify::Notify;
    ~AwaitedNotify() override {
        without_gil([this] { wait(); });
    }
    bool forked() const noexcept { return generation_ != fork_generation(); }
    void deliver() noexcept override { delete this; }

private:
    const unsigned generation_ = fork_generation();
};

bool notify(const IoCtx& self, const Name& object, const py::object& message,
            const U64& timeout_ms) {
    const std::string sent = message_of(message);
    const engine::QueuePointer owner = Callbacks::owner();
    auto made = without_gil([&] { return std::make_unique<AwaitedNotify>(self, object, owner); });
    without_gil([&] { made->submit(sent.data(), sent.size(), timeout_ms); });
    while (!without_gil([&] { return made->wait_for(Callbacks::pause()); })) {
        try {
            // The notify may wait for callbacks of this program's own watches, so run them here.
            Callbacks::deliver_here();
            check_signals();
        } catch (...) {
            if (made->forked()) {
                made.release();  // NOLINT(bugprone-unused-return-value): belongs to the parent
            } else {
                abandon(std::move(made));
            }
            throw;
        }
        if (made->forked()) {
            // A signal handler forked a child process, in which nothing completes this.
            made.release();  // NOLINT(bugprone-unused-return-value): belongs to the parent
            throw ForkedError("the notify was sent before fork() and ends in the parent process",
                              ClosedError::Subject::ioctx);
        }
    }
    without_gil([&] { made->answers(); });
    return true;
}

using WatchClass = py::class_<PyWatch, Unlocked<PyWatch>>;

void define_watch(WatchClass& cls) {
    define_init(cls, py::init(&open_watch), "Watch an object, as `Ioctx.watch` does.",
                py::arg("ioctx"), py::arg("oid"), py::arg("callback"),
                py::arg("error_callback") = py::none(), py::arg("timeout") = py::none());
    define(
        cls, "get_id", [](const PyWatch& self) { return self.get().id(); },
        R"(Return the number of the watch, which its callbacks get; 0 once it is closed.)");
    define(
        cls, "check",
        [](const PyWatch& self) {
            auto age = without_gil([&] { return self.get().check(); });
            return py::module_::import("datetime")
                .attr("timedelta")(py::arg("milliseconds") = age.count());
        },
        R"(Return the time since the object's OSD was last heard from, as a timedelta.

Raises
------
NotConnected
    The watch has failed, and gets no more notifies.
IoctxStateError
    The watch is closed.

Implements: rados_watch_check)");
    auto close = [](const PyWatch& self) { without_gil([&] { self.get().close(); }); };
    define(
        cls, "close", close,
        R"(End the watch: after this returns, none of its callbacks begins. Closing twice does nothing.

Implements: rados_unwatch2, rados_watch_flush)");
    define_context<const PyWatch>(cls, close, "The watch itself.",
                                  "End the watch. An exception of the body is raised further.");
}

}  // namespace

void bind_watch(py::module_& m, IoctxClass& ioctx) {
    WatchClass cls(
        m, "Watch",
        "A watch of an object, as `Ioctx.watch` returns it.\n\n"
        "It lasts until `close`, or until the last reference to it is dropped. It may outlive its "
        "context. After\n`Rados.shutdown` its callbacks are not called. It is a context manager, "
        "which closes it.",
        collected<PyWatch>());
    define_watch(cls);
    define(ioctx, "watch", open_watch,
           R"(Call a function for each notify that a client sends to an object.

Parameters
----------
obj
    The name of the object.
callback
    Called as `callback(notify_id, notifier_id, watch_id, data)` in the thread of callbacks.
    `notifier_id` is the number of the client that sent the notify; `data` is bytes, or None. It returns
    the reply: a str, bytes, or None. If it raises, the exception goes to `sys.unraisablehook`, and the
    sender gets an empty reply.
error_callback
    Called as `error_callback(watch_id, error)` when the watch has failed, with a negative error number:
    -ENOTCONN if the object was removed. The watch gets no more notifies then.
timeout
    The number of seconds after which the cluster drops the watch of a client that it does not hear
    from; None means the cluster's default.

Returns
-------
The watch.

Raises
------
ObjectNotFound
    There is no such object.

Implements: rados_watch3, rados_notify_ack)",
           py::arg("obj"), py::arg("callback"), py::arg("error_callback") = py::none(),
           py::arg("timeout") = py::none());
    define(ioctx, "notify", notify,
           R"(Send a message to all watchers of an object, and wait until they have acknowledged it.

Parameters
----------
obj
    The name of the object.
msg
    The message: a str or a buffer.
timeout_ms
    The number of milliseconds that the watchers have, rounded up to seconds; 0 means the cluster's
    default.

Returns
-------
True.

Raises
------
ObjectNotFound
    There is no such object.
TimedOut
    Not all watchers have acknowledged the message in time.

Implements: rados_aio_notify)",
           py::arg("obj"), py::arg("msg") = "", py::arg("timeout_ms") = usual_timeout_ms);
    define(ioctx, "aio_notify", submit_notify,
           R"(Submit a message to all watchers of an object.

Parameters
----------
obj
    The name of the object.
oncomplete
    Called as `oncomplete(completion, result, acks, timeouts)` in the thread of callbacks, once all
    watchers have acknowledged the message or the time has passed. `result` is 0 or a negative error
    number. `acks` is a list of (client id, watch id, reply), with bytes as the reply, or '' for none.
    `timeouts` is a list of (client id, watch id). Both are None if the call has failed.
msg
    The message: a str or a buffer.
timeout_ms
    As in `notify`.

Returns
-------
The completion.

Implements: rados_aio_notify)",
           py::arg("obj"), py::arg("oncomplete"), py::arg("msg") = "",
           py::arg("timeout_ms") = usual_timeout_ms);
}

}  // namespace rbdxx::python::rados
