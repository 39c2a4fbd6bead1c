#include "callbacks.hpp"

#include <chrono>
#include <vector>

#include <rbdxx/error.hpp>

#include "gil.hpp"

namespace rbdxx::python {

namespace {

// How long the end of the interpreter waits for what is in flight, and for a callback to return.
constexpr auto last_deliveries = std::chrono::seconds(1);
constexpr double last_join_seconds = 5;
// How often a signal may come while the thread starts for what is left behind.
constexpr int most_attempts = 100;

std::mutex services_mutex;
// Never freed: librbd's threads may push into a queue until the process is gone.
std::atomic<Callbacks*> services{nullptr};

// The operations that this thread is delivering, the innermost last.
thread_local std::vector<PyOperation*> running;

}  // namespace

Callbacks::Callbacks()
    : interpreter_(PyInterpreterState_Get()),
      generation_(fork_generation()),
      queue_(std::make_shared<aio::Queue>()) {}

Callbacks* Callbacks::find() noexcept {
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    Callbacks* service = services.load(std::memory_order_acquire);
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

std::shared_ptr<aio::Queue> Callbacks::heir() {
    Callbacks& service = find_or_make();
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        try {
            service.start_thread();
            break;
        } catch (py::error_already_set&) {  // NOLINT(bugprone-empty-catch): it tries again
        }
    }
    return service.queue();
}

Callbacks& Callbacks::find_or_make() {
    Callbacks* service = find();
    if (service == nullptr) {
        std::lock_guard<std::mutex> lock(services_mutex);
        service = find();
        if (service == nullptr) {
            service = new Callbacks();
            service->next_ = services.load();
            services.store(service, std::memory_order_release);
        }
    }
    return *service;
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
        // Not joined by threading's own exit, which comes before the atexit hook that ends it.
        arguments["daemon"] = true;
        // The making of the module registered it for the main interpreter. Before Python 3.12
        // another one has but a copy of that module (interpreters.cpp), whose making registered
        // nothing.
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
        if (error.matches(PyExc_RuntimeError) || error.matches(PyExc_ImportError)) {
            // The interpreter is ending and starts no more threads.
            stopped_.store(true);
            return;
        }
        // A signal handler's, before the thread began or after that: the next call tries again. A
        // second thread would find that the first one has begun.
        if (mine != nullptr && thread_.compare_exchange_strong(mine, nullptr)) {
            Py_DECREF(mine);
        }
        throw;
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
        without_gil([&] { queue_->wait(-1); });
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
    auto* operation = static_cast<PyOperation*>(pending_);
    pending_ = operation->next();
    running.push_back(operation);
    operation->deliver();
    running.pop_back();
    return true;
}

void Callbacks::drain_or_sleep() {
    if (!deliver_one()) {
        without_gil([&] { queue_->wait(static_cast<int>(signal_interval.count())); });
    }
}

void Callbacks::wait(const std::atomic<bool>& done, PyOperation* operation) {
    if (generation_ != fork_generation()) {
        throw ForkedError("the call was made before fork() and completes in the parent process");
    }
    while (!done.load()) {
        if (drains_here()) {
            for (const PyOperation* outer : running) {
                if (outer == operation) {
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
        if (!done.load() && !operation->settled() && operation->lost()) {
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

std::function<void()> Callbacks::pump_for(const Handle* handle) {
    if (running.empty()) {
        return {};
    }
    // What is being delivered has done its I/O: it need not keep open what its callback closes.
    for (PyOperation* operation : running) {
        if (operation->handle() == handle) {
            operation->finish();
        }
    }
    Callbacks* service = find();
    return [service, state = PyThreadState_Get()] {
        GilReacquire acquire(state);
        service->drain_or_sleep();
    };
}

}  // namespace rbdxx::python
