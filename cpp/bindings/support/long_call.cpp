#include "long_call.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <string>

#include "callbacks.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "work.hpp"

namespace rbdxx::python {

namespace {

using Clock = std::chrono::steady_clock;

// The time that a call has to end after a signal handler has raised. `last_patience` is the time
// after a second one.
constexpr auto patience = std::chrono::seconds(5);
// The same time for a cancelled task: the task does not wait any more, only its thread does.
constexpr auto task_patience = std::chrono::milliseconds(750);
constexpr auto last_patience = std::chrono::milliseconds(250);

// A call under way in its own thread, and the messages between that thread and the calling one.
class LongCall final : public engine::Work, public Question {
public:
    LongCall(Handles handles, std::function<void(const Progress&)> call, bool reports)
        : Work(Callbacks::owner()),
          handles_(std::move(handles)),
          call_(std::move(call)),
          reports_(reports) {}
    ~LongCall() override {
        without_gil([this] { wait(); });
        call_ = nullptr;
        // The last use of an image may close it.
        without_gil([this] { handles_.clear(); });
    }

    void submit() {
        begin_in_thread([this] { run(); });
    }

    enum class News { none, question, finished };

    // Waits at most `time` for something to do. Returns what there is to do. Runs without the GIL.
    News news(Clock::duration time) {
        News found = News::none;
        wait_until(time, [&] {
            found = in_flight_ == 0 ? News::finished : waits() ? News::question : News::none;
            return found != News::none;
        });
        return found;
    }

    // Calls back into Python for one report. A negative integer asks to stop; None continues.
    int ask(const py::object& on_progress) {
        CallbackScope scope;
        Answering of(*this);
        py::object result = on_progress(done_, total_);
        return result.is_none() ? 0 : result.cast<int>();
    }

    void answer(int given) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (std::exchange(busy_, false)) {
            late_answer_ = given;
        } else {
            answer_ = given;
        }
        changed_.notify_all();
    }

    // Stops the reports, because an exception waits to be raised.
    void cancel() {
        std::lock_guard<std::mutex> lock(mutex_);
        cancelled_ = true;
        changed_.notify_all();
    }

    // As Work::abandon(). A close of its handles does not wait for it any more.
    bool abandon() noexcept {
        for (const auto& handle : handles_) {
            handle->lend();
        }
        if (Work::abandon()) {
            return true;
        }
        take_back();
        return false;
    }

    bool failed() const { return failure_ != nullptr; }
    // Throws what the call threw.
    void check() const {
        if (failure_) {
            std::rethrow_exception(failure_);
        }
    }

    bool forked() const noexcept { return generation_ != fork_generation(); }

    void go_on() noexcept override {
        if (forked()) {
            return;  // in a forked child, no thread waits
        }
        std::lock_guard<std::mutex> lock(mutex_);
        if (waits()) {
            answer_ = 0;
            busy_ = true;
            changed_.notify_all();
        }
    }

    void deliver() noexcept override { delete this; }

private:
    bool waits() const { return asked_ && !answer_; }

    void run() {
        std::exception_ptr failure;
        try {
            UnderWay counted;
            call_([this](uint64_t done, uint64_t total) { return report(done, total); });
        } catch (...) {
            failure = std::current_exception();
        }
        end([&] {
            failure_ = failure;
            if (abandoned_to_ != nullptr) {
                take_back();
            }
        });
    }

    void take_back() noexcept {
        for (const auto& handle : handles_) {
            handle->take_back();
        }
    }

    int report(uint64_t done, uint64_t total) {
        std::unique_lock<std::mutex> lock(mutex_);
        // librbd may report from several of its threads at once, but only one question is asked at
        // a time.
        changed_.wait(lock, [this] { return !asked_ || cancelled_ || busy_; });
        if (cancelled_) {
            return -ECANCELED;
        }
        if (busy_ || !reports_) {
            return 0;
        }
        if (late_answer_ < 0) {
            return std::exchange(late_answer_, 0);
        }
        asked_ = true;
        done_ = done;
        total_ = total;
        answer_.reset();
        changed_.notify_all();
        UnderWay::pause([&] { changed_.wait(lock, [this] { return answer_.has_value(); }); });
        int result = *answer_;
        asked_ = false;
        changed_.notify_all();
        return result;
    }

    Handles handles_;
    std::function<void(const Progress&)> call_;
    const bool reports_;
    const unsigned generation_ = fork_generation();

    // The lock of Work protects these.
    bool asked_ = false;  // a progress report waits for its answer
    uint64_t done_ = 0;
    uint64_t total_ = 0;
    std::optional<int> answer_;
    bool cancelled_ = false;
    // The callback is in a call itself, so librbd continues. Reports that come meanwhile are left
    // out. The callback's late answer goes to the next report.
    bool busy_ = false;
    int late_answer_ = 0;
    std::exception_ptr failure_;
};

// The exceptions raised while the call continues, and the time that they may wait for its end.
class Raised {
public:
    explicit operator bool() const { return error_.has_value(); }

    // Takes the Python exception that is set. A later exception replaces an earlier one.
    void take(py::error_already_set& error, bool by_signal) {
        if (error_ && !error_->value().is(error.value())) {
            py::object before = error_->value();
            PyException_SetContext(error.value().ptr(), before.release().ptr());
        }
        // Ctrl-C may also come while the callback's code runs.
        if (by_signal || !error.matches(PyExc_Exception)) {
            const Clock::duration most =
                heeds_cancellation() ? Clock::duration(task_patience) : Clock::duration(patience);
            const auto until = Clock::now() + (error_ ? last_patience : most);
            until_ = until_ ? std::min(*until_, until) : until;
        }
        error_.emplace(error);
        expired_ = false;
    }

    // The time of the call is over. `error` is raised for that, unless another exception was raised
    // before.
    void expire(const py::object& error) {
        until_ = std::min(until_.value_or(Clock::time_point::max()), Clock::now() + last_patience);
        if (!error_) {
            restore(error);
            error_.emplace();
            expired_ = true;
        }
    }

    // Returns whether to raise it even if the call has succeeded after all.
    bool concerns_success() const { return !expired_; }

    bool out_of_patience() const { return until_ && Clock::now() >= *until_; }

    // Adds a note that the call did not end, if this Python has notes.
    void note_that_it_goes_on() {
        try {
            py::object value = error_->value();
            if (py::hasattr(value, "add_note")) {
                value.attr("add_note")(
                    "librbd has not completed the call, which continues in the background");
            }
        } catch (py::error_already_set&) {  // NOLINT(bugprone-empty-catch): the error says more
        }
    }

    [[noreturn]] void raise() { throw std::move(*error_); }

private:
    std::optional<py::error_already_set> error_;
    std::optional<Clock::time_point> until_;
    bool expired_ = false;  // the error is that of expire()
};

// Returns the time when a call that starts now must end, if it must. Raises TypeError, ValueError.
std::optional<Clock::time_point> end_of(const py::object& timeout) {
    if (timeout.is_none()) {
        return std::nullopt;
    }
    if (PyBool_Check(timeout.ptr()) != 0 || PyNumber_Check(timeout.ptr()) == 0) {
        throw py::type_error("timeout must be a number of seconds or None, not " +
                             std::string(Py_TYPE(timeout.ptr())->tp_name));
    }
    const double seconds = PyFloat_AsDouble(timeout.ptr());
    if (PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    if (!(seconds > 0)) {
        throw py::value_error("timeout must be more than 0 seconds, or None, not " +
                              std::string(py::str(timeout)));
    }
    // In effect no limit, and its number of nanoseconds does not overflow.
    constexpr double most = 1e9;
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(
                              std::chrono::duration<double>(std::min(seconds, most)));
}

}  // namespace

void run_long_call(const py::object& on_progress, const py::object& timeout, Handles handles,
                   std::function<void(const Progress&)> call) {
    const bool reports = !on_progress.is_none();
    if (reports && PyCallable_Check(on_progress.ptr()) == 0) {
        throw py::type_error("on_progress must be callable or None, not " +
                             std::string(Py_TYPE(on_progress.ptr())->tp_name));
    }
    std::optional<Clock::time_point> end = end_of(timeout);
    // A sequence of short calls must see a cancellation too.
    check_cancellation();
    auto work = std::make_unique<LongCall>(std::move(handles), std::move(call), reports);
    work->submit();
    Raised raised;
    for (;;) {
        const Clock::duration left = end ? *end - Clock::now() : Clock::duration::max();
        const LongCall::News news = without_gil(
            [&] { return work->news(std::clamp<Clock::duration>(left, {}, signal_interval)); });
        if (news == LongCall::News::finished) {
            break;
        }
        const bool question = news == LongCall::News::question;
        int answer = 0;
        bool asking = false;
        try {
            check_signals();
            if (end && Clock::now() >= *end) {
                end.reset();
                raised.expire(make_error(
                    ETIMEDOUT,
                    "the call did not end within " + std::string(py::str(timeout)) + " seconds"));
            }
            if (question && !raised) {
                asking = true;
                answer = work->ask(on_progress);
            }
        } catch (py::error_already_set& error) {
            raised.take(error, !asking);
        } catch (const py::cast_error&) {
            py::set_error(PyExc_TypeError, "on_progress must return an int or None");
            py::error_already_set error;
            raised.take(error, false);
        }
        if (work->forked()) {
            // This is a forked child, without the other thread, whose mutex may stay locked
            // forever.
            work.release();  // NOLINT(bugprone-unused-return-value)
            if (raised) {
                raised.raise();
            }
            throw ForkedError("the call belongs to the parent process of this fork()");
        }
        if (raised.out_of_patience()) {
            if (abandon(std::move(work))) {
                raised.note_that_it_goes_on();
            }
            raised.raise();
        }
        if (raised) {
            work->cancel();
            answer = -ECANCELED;
        }
        if (question) {
            work->answer(answer);
        }
    }
    if (raised && (raised.concerns_success() || work->failed())) {
        raised.raise();
    }
    work->check();
}

}  // namespace rbdxx::python
