#include "collect.hpp"

#include <doctest/doctest.h>

#include <rbdxx/engine.hpp>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace engine = rbdxx::engine;

namespace {

struct Completion {
    engine::Completed completed;
    void* argument;
};

// A C library that makes a thread wait if `most` calls are in flight. Its own thread completes them
// in the order of their submission, with the numbers from 1.
class Library {
public:
    explicit Library(std::size_t most) : most_(most), thread_([this] { run(); }) {}
    ~Library() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ends_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    void submit(void* completion) {
        std::unique_lock<std::mutex> lock(mutex_);
        if (in_flight_.size() >= most_) {
            ++waits_[std::this_thread::get_id()];
            changed_.wait(lock, [this] { return in_flight_.size() < most_; });
        }
        in_flight_.push_back(completion);
        changed_.notify_all();
    }
    // Returns whether this thread had to wait in submit().
    bool has_waited() {
        std::lock_guard<std::mutex> lock(mutex_);
        return waits_.count(std::this_thread::get_id()) > 0;
    }
    // Nothing completes while a hold lives.
    std::unique_lock<std::mutex> hold() { return std::unique_lock<std::mutex>(held_); }

private:
    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ends_ || !in_flight_.empty(); });
            if (in_flight_.empty()) {
                return;
            }
            auto* completion = static_cast<Completion*>(in_flight_.front());
            lock.unlock();
            { std::lock_guard<std::mutex> held(held_); }
            completion->completed(completion, completion->argument);
            lock.lock();
            in_flight_.pop_front();
            changed_.notify_all();
        }
    }

    const std::size_t most_;
    std::mutex held_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<void*> in_flight_;
    std::map<std::thread::id, int> waits_;
    bool ends_ = false;
    std::thread thread_;
};

struct Kind {
    using Context = Library;
    static void require(const Library&) {}
    static int create(const Library&, void* argument, engine::Completed completed,
                      void** completion) {
        *completion = new Completion{completed, argument};
        return 0;
    }
    static ssize_t result(const Library&, void*) noexcept { return 0; }
    static void release(const Library&, void* completion, bool) noexcept {
        delete static_cast<Completion*>(completion);
    }
};

struct Probe final : rbdxx::Handle {
    ~Probe() override { close(); }
    std::string describe() const override { return "probe"; }
    int destroy() noexcept override { return 0; }
    void release() noexcept override {}
};

uint64_t submit(Numbered& operation, const std::shared_ptr<engine::Lane>& lane,
                const engine::QueuePointer& queue, const std::shared_ptr<Probe>& probe,
                Library& library, ssize_t answer = 0, bool shared = false) {
    return operation.submit_by<Kind>(
        lane, 1, shared, queue, probe, library,
        [&library, answer](void* completion) -> ssize_t {
            if (answer == 0) {
                library.submit(completion);
            }
            return answer;
        },
        [] { return std::string("error asking"); });
}

constexpr std::size_t most_in_flight = 8;

}  // namespace

TEST_CASE("a lane lets a few callers submit, and counts what others submit") {
    engine::Lane lane(2, 100);
    CHECK(lane.try_enter(60, false));
    CHECK_FALSE(lane.try_enter(60, false));
    CHECK_FALSE(lane.try_enter(1, true));
    CHECK(lane.try_enter(40, false));
    CHECK_FALSE(lane.try_enter(0, false));
    lane.done(60);
    lane.done(40);
    // One call is let in, however large it is.
    CHECK(lane.try_enter(1000, false));
    lane.done(1000);
    {
        auto owned = std::make_shared<engine::Lane>(2, 100);
        engine::Counted first(owned, 1);
        engine::Counted second(owned, 1);
        engine::Counted none(nullptr, 1);
        CHECK_FALSE(owned->try_enter(1, false));
    }
}

TEST_CASE("callers that must not wait never do, and each one's calls are made in order") {
    constexpr std::size_t producers = 4;
    constexpr std::size_t each = 300;
    Library library(most_in_flight);
    auto lane = std::make_shared<engine::Lane>(most_in_flight / 4, 0);
    auto probe = std::make_shared<Probe>();
    auto queue = std::make_shared<engine::Queue>();
    std::vector<std::deque<Numbered>> operations(producers);
    std::vector<char> waited(producers);
    std::vector<std::thread> threads;
    for (std::size_t producer = 0; producer < producers; ++producer) {
        threads.emplace_back([&, producer] {
            for (std::size_t number = 0; number < each; ++number) {
                Numbered& operation = operations[producer].emplace_back();
                operation.producer = static_cast<int>(producer);
                operation.number = static_cast<int>(number);
                operation.never_wait();
                submit(operation, lane, queue, probe, library);
            }
            waited[producer] = library.has_waited();
        });
    }
    // Others may wait, and are counted.
    threads.emplace_back([&] {
        auto own = std::make_shared<engine::Queue>();
        std::deque<Numbered> waiting(each);
        for (Numbered& operation : waiting) {
            CHECK(submit(operation, lane, own, probe, library) == 0);
        }
        collect(*own, each);
    });
    std::vector<int> next(producers);
    for (const Numbered* one : collect(*queue, producers * each)) {
        CHECK(one->number == next[static_cast<std::size_t>(one->producer)]++);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(waited == std::vector<char>(producers));
}

TEST_CASE("a lane says when a call has been submitted, and reports a late refusal as its result") {
    Library library(1);
    auto lane = std::make_shared<engine::Lane>(1, 0);
    auto probe = std::make_shared<Probe>();
    auto queue = std::make_shared<engine::Queue>();
    std::deque<Numbered> operations(3);
    for (Numbered& operation : operations) {
        operation.never_wait();
    }
    auto hold = library.hold();
    CHECK(submit(operations[0], lane, queue, probe, library) == 0);
    CHECK(submit(operations[1], lane, queue, probe, library) == 1);
    const uint64_t number = submit(operations[2], lane, queue, probe, library, -EIO);
    CHECK(number == 2);
    hold.unlock();
    lane->wait(number);
    collect(*queue, operations.size());
    CHECK(operations[1].result() == 0);
    CHECK(operations[2].result() == -EIO);
    CHECK(lane->try_enter(0, false));
}
