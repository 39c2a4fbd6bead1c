#include "callbacks.hpp"

#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include <rbdxx/error.hpp>

#include "gil.hpp"

namespace rbdxx::python {

namespace {

// The time that the end of the interpreter waits for operations in flight, and for a callback to
// return.
constexpr auto last_deliveries = std::chrono::seconds(1);
constexpr double last_join_seconds = 5;
// The number of times that a signal may interrupt the start of the thread for abandoned work.
constexpr int most_attempts = 100;

// Never freed, because librbd's threads may push into a queue until the process ends.
std::atomic<Callbacks*> services{nullptr};

// What this thread is delivering; the innermost item is the last one.
thread_local std::vector<engine::Item*> running;

// Returns whether a thread was refused because the interpreter is ending. Python 3.12 refuses
// threads before it sets its flag for that.
bool refused_at_the_end(const py::error_already_set& error) {
#if PY_VERSION_HEX >= 0x030D0000
    const bool finalizing = Py_IsFinalizing() != 0;
#else
    const bool finalizing = _Py_IsFinalizing() != 0;
#endif
    return finalizing || std::strstr(error.what(), "at interpreter shutdown") != nullptr;
}

}  // namespace

Callbacks::Callbacks()
    : interpreter_(PyInterpreterState_Get()),
      generation_(fork_generation()),
      queue_(std::make_shared<engine::Queue>()) {}

Callbacks* Callbacks::find(Callbacks* service) noexcept {
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    while (service != nullptr &&
           (service->interpreter_ != interpreter || service->generation_ != fork_generation())) {
        service = service->next_;
    }
    return service;
}

Callbacks& Callbacks::get() {
    Callbacks& service = find_or_make();
    service.start_thread();
    return service;
}

Callbacks* Callbacks::find() noexcept {
    return find(services.load(std::memory_order_acquire));
}

std::shared_ptr<engine::Queue> Callbacks::owner() {
    return find_or_make().queue();
}

void Callbacks::serve() noexcept {
    Callbacks* service = find();
    for (int attempt = 0; service != nullptr && attempt < most_attempts; ++attempt) {
        try {
            service->start_thread();
            return;
        } catch (py::error_already_set& error) {
            if (error.matches(PyExc_RuntimeError)) {
                return;
            }
        } catch (const std::exception&) {
            return;
        }
    }
}

Callbacks& Callbacks::find_or_make() {
    Callbacks* head = services.load(std::memory_order_acquire);
    if (Callbacks* service = find(head)) {
        return *service;
    }
    auto made = std::unique_ptr<Callbacks>(new Callbacks());
    // Without a lock: a child process would inherit one that is held by a thread which the child
    // does not have.
    do {
        // Another thread may have added this interpreter's service meanwhile.
        if (Callbacks* service = find(head)) {
            return *service;
        }
        made->next_ = head;
    } while (!services.compare_exchange_strong(head, made.get(), std::memory_order_acq_rel));
    return *made.release();
}

void Callbacks::start_thread() {
    if (thread_.load() != nullptr || stopped_.load()) {
        return;
    }
    PyObject* mine = nullptr;
    try {
        py::module_ core = py::module_::import("rbd._core");
        py::dict arguments;
        arguments["target"] = core.attr("_run_callbacks");
        arguments["name"] = "rbd-callbacks";
        // threading's own exit must not join it, because that runs before the atexit hook that ends
        // it.
        arguments["daemon"] = true;
        // The creation of the module registered the hook for the main interpreter. Before Python
        // 3.12, every other interpreter has a copy of that module (interpreters.cpp), whose
        // creation registers nothing.
        if (interpreter_ != PyInterpreterState_Main()) {
            py::module_::import("atexit").attr("register")(core.attr("_stop_callbacks"));
        }
        py::object thread = py::module_::import("threading").attr("Thread")(**arguments);
        PyObject* nobody = nullptr;
        if (!thread_.compare_exchange_strong(nobody, thread.ptr())) {
            return;
        }
        mine = thread.inc_ref().ptr();
        thread.attr("start")();
    } catch (py::error_already_set& error) {
        // The next call tries again. The thread may have begun before the signal handler raised:
        // the second thread finds that, and ends.
        if (mine != nullptr && thread_.compare_exchange_strong(mine, nullptr)) {
            Py_DECREF(mine);
        }
        if (!refused_at_the_end(error)) {
            throw;
        }
        stopped_.store(true);
    }
}

void Callbacks::run() {
    if (begun_.exchange(true)) {
        return;
    }
    py::object thread = py::module_::import("threading").attr("current_thread")();
    Py_XDECREF(thread_.exchange(thread.release().ptr()));
    drainer_.store(std::this_thread::get_id());
    while (!stopping_.load()) {
        without_gil([&] { queue_->wait(); });
        while (deliver_one()) {
        }
    }
    auto end = std::chrono::steady_clock::now() + last_deliveries;
    // Every operation in flight has a share of the queue.
    while (queue_.use_count() > 1 && std::chrono::steady_clock::now() < end) {
        drain_or_sleep();
    }
    while (deliver_one()) {
    }
    drainer_.store(std::thread::id());
    stopped_.store(true);
    notify();
}

void Callbacks::stop() {
    Callbacks* service = find();
    PyObject* thread = service != nullptr ? service->thread_.load() : nullptr;
    if (thread != nullptr && !service->stopping_.exchange(true)) {
        service->queue_->wake();
        py::reinterpret_borrow<py::object>(thread).attr("join")(last_join_seconds);
    }
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) {
        end_of_process();
    }
}

bool Callbacks::deliver_one() {
    if (pending_ == nullptr) {
        pending_ = queue_->take();
    }
    if (pending_ == nullptr) {
        return false;
    }
    engine::Item* const item = pending_;
    pending_ = item->next();
    running.push_back(item);
    item->deliver();
    running.pop_back();
    return true;
}

void Callbacks::drain_or_sleep() {
    if (!deliver_one()) {
        without_gil([&] { queue_->wait_for(signal_interval); });
    }
}

void Callbacks::wait(const std::atomic<bool>& done, const engine::Operation& operation,
                     const std::function<bool()>& lost) {
    if (generation_ != fork_generation()) {
        throw ForkedError("the call was made before fork() and completes in the parent process");
    }
    while (!done.load()) {
        if (drains_here()) {
            for (const engine::Item* outer : running) {
                if (outer == &operation) {
                    return;
                }
            }
            drain_or_sleep();
        } else if (stopped_.load()) {
            std::thread::id nobody;
            if (drainer_.compare_exchange_strong(nobody, std::this_thread::get_id())) {
                drain_or_sleep();
                drainer_.store(std::thread::id());
            } else {
                without_gil([] { std::this_thread::yield(); });
            }
        } else {
            start_thread();
            without_gil([&] {
                waiters_.fetch_add(1);
                std::unique_lock<std::mutex> lock(mutex_);
                delivered_.wait_for(lock, signal_interval,
                                    [&] { return done.load() || stopped_.load(); });
                waiters_.fetch_sub(1);
            });
        }
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
        if (!done.load() && !operation.is_complete() && lost()) {
            throw DisconnectedError("the connection under the call is shut down");
        }
    }
}

void Callbacks::notify() noexcept {
    if (waiters_.load() > 0) {
        std::lock_guard<std::mutex> lock(mutex_);
        delivered_.notify_all();
    }
}

void Callbacks::deliver_here() {
    Callbacks* const service = running.empty() ? nullptr : find();
    while (service != nullptr && service->deliver_one()) {
    }
}

std::chrono::milliseconds Callbacks::pause() noexcept {
    return running.empty() ? signal_interval : std::chrono::milliseconds(1);
}

int Callbacks::close(Handle& handle, bool signals) {
    Callbacks* const service = running.empty() ? nullptr : find();
    std::optional<Handle::Closing> closing;
    auto wait = [&] {
        return without_gil([&] {
            return closing->wait_for(service != nullptr ? std::chrono::milliseconds(0)
                                                        : signal_interval);
        });
    };
    // This end may free the handle too, so it runs without the GIL as the wait does.
    auto end = [&] { without_gil([&] { closing.reset(); }); };
    without_gil([&] {
        // The operation that is being delivered has completed: it need not keep the handle open
        // that its callback closes.
        for (engine::Item* item : running) {
            auto* operation = dynamic_cast<engine::Operation*>(item);
            if (operation != nullptr && operation->handle() == &handle) {
                operation->finish();
            }
        }
        closing.emplace(handle);
    });
    try {
        while (!wait()) {
            if (service != nullptr) {
                service->drain_or_sleep();
            }
            if (signals) {
                check_signals();
            }
        }
    } catch (py::error_already_set&) {
        end();
        throw;
    }
    const int result = closing->result();
    end();
    return result;
}

}  // namespace rbdxx::python
