#include "collect.hpp"
#include "place.hpp"

#include <rbdxx/engine.hpp>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace engine = rbdxx::engine;
using namespace std::chrono_literals;

namespace {

bool readable(const engine::Queue& queue) {
    pollfd waited{queue.descriptor(), POLLIN, 0};
    return ::poll(&waited, 1, 0) == 1;
}

// A C library of the test, whose completions are of another kind than librbd's.
struct Library {
    std::atomic<int> created{0};
    std::atomic<int> released_submitted{0};
    std::atomic<int> released_refused{0};
    int refuse_creation = 0;
};

struct Completion {
    engine::Completed completed;
    void* argument;
    ssize_t result = 0;
};

struct Kind {
    using Context = Library;
    static void require(const Library&) {}
    static int create(const Library& library, void* argument, engine::Completed completed,
                      void** completion) {
        if (library.refuse_creation < 0) {
            return library.refuse_creation;
        }
        ++const_cast<Library&>(library).created;
        *completion = new Completion{completed, argument};
        return 0;
    }
    static ssize_t result(const Library&, void* completion) noexcept {
        return static_cast<Completion*>(completion)->result;
    }
    static void release(const Library& library, void* completion, bool submitted) noexcept {
        auto& counts = const_cast<Library&>(library);
        ++(submitted ? counts.released_submitted : counts.released_refused);
        delete static_cast<Completion*>(completion);
    }
};

void complete(void* completion, ssize_t result) {
    auto* done = static_cast<Completion*>(completion);
    done->result = result;
    done->completed(done, done->argument);
}

struct Probe final : rbdxx::Handle {
    ~Probe() override { close(); }
    std::string describe() const override { return "probe"; }
    int destroy() noexcept override { return 0; }
    void release() noexcept override {}
};

class OtherError : public rbdxx::Error {
public:
    using Error::Error;
};

std::string describe() {
    return "error asking";
}

// An operation that a queue may hold. `call(completion)` submits it.
class Held final : public engine::Operation {
public:
    Held(const Library& library, std::function<void(void*)> call)
        : library_(library), call_(std::move(call)) {}
    void submit_or_hold(const engine::QueuePointer& queue, const std::shared_ptr<Probe>& probe) {
        const bool holds = queue->holds();
        begin<Kind>(queue, probe, library_);
        if (!holds) {
            submit_held();
        } else if (!queue->hold(this)) {
            queue->submit_held();
        }
    }
    void submit_held() noexcept override {
        submit_begun<Kind>(library_, [this](void* completion) {
            call_(completion);
            return 0;
        });
    }

private:
    const Library& library_;
    const std::function<void(void*)> call_;
};

// Work whose parts the test ends.
class Errand final : public engine::Work {
public:
    explicit Errand(const engine::QueuePointer& owner) : Work(owner) {}
    ~Errand() override { wait(); }
    using Work::begin;
    void finish() {
        end([] {});
    }
    void deliver() noexcept override { delete this; }
};

}  // namespace

TEST_CASE("a queue returns items in order, and signals when it has some") {
    engine::Queue queue;
    CHECK(queue.take() == nullptr);
    CHECK_FALSE(readable(queue));
    Numbered operations[3];
    for (Numbered& operation : operations) {
        queue.push(&operation);
    }
    CHECK(readable(queue));
    queue.acknowledge();
    CHECK_FALSE(readable(queue));
    engine::Item* one = queue.take();
    for (Numbered& operation : operations) {
        CHECK(one == &operation);
        one = one->next();
    }
    CHECK(one == nullptr);
    CHECK(queue.take() == nullptr);
    queue.wake();
    CHECK(readable(queue));
    queue.wait();
    CHECK_FALSE(readable(queue));
}

TEST_CASE("items of many threads are all kept, in each thread's order") {
    constexpr std::size_t producers = 4;
    constexpr std::size_t each = 5000;
    engine::Queue queue;
    std::vector<Numbered> operations(producers * each);
    std::thread consumer;
    std::vector<Numbered*> taken;
    consumer = std::thread([&] { taken = collect(queue, operations.size()); });
    in_threads(static_cast<int>(producers), [&](int producer) {
        for (std::size_t i = 0; i < each; ++i) {
            Numbered& one = operations[static_cast<std::size_t>(producer) * each + i];
            one.producer = producer;
            one.number = static_cast<int>(i);
            queue.push(&one);
        }
    });
    consumer.join();
    std::vector<int> next(producers, 0);
    for (Numbered* one : taken) {
        CHECK(one->number == next[static_cast<std::size_t>(one->producer)]++);
    }
    CHECK(next == std::vector<int>(producers, static_cast<int>(each)));
    CHECK(queue.take() == nullptr);
}

TEST_CASE("an item pushed while the queue is abandoned reaches the owner") {
    for (int round = 0; round < 200; ++round) {
        auto owner = std::make_shared<engine::Queue>();
        engine::Queue queue(owner);
        std::vector<Numbered> operations(40);
        std::thread consumer([&] { collect(*owner, operations.size()); });
        in_threads(3, [&](int number) {
            if (number == 2) {
                queue.abandon();
                return;
            }
            for (std::size_t i = 0; i < 20; ++i) {
                queue.push(&operations[static_cast<std::size_t>(number) * 20 + i]);
            }
        });
        consumer.join();
        CHECK(queue.take() == nullptr);
        CHECK(owner->take() == nullptr);
    }
}

TEST_CASE("an operation of any kind of completion reaches its queue, and keeps its handle open") {
    Library library;
    auto queue = std::make_shared<engine::Queue>();
    auto probe = std::make_shared<Probe>();
    Numbered operation;
    for (ssize_t result : {5, -EIO}) {
        void* submitted = nullptr;
        operation.submit<Kind>(
            queue, probe, library,
            [&](void* completion) {
                submitted = completion;
                return 0;
            },
            describe);
        CHECK_FALSE(operation.is_complete());
        CHECK(operation.handle() == probe.get());
        complete(submitted, result);
        CHECK(operation.is_complete());
        CHECK(operation.result() == result);
        collect(*queue, 1);
        CHECK(operation.handle() == nullptr);
    }
    CHECK(library.created == 2);
    CHECK(library.released_submitted == 2);
}

TEST_CASE("a refused submission throws the library's kind of error, and leaves nothing") {
    Library library;
    auto queue = std::make_shared<engine::Queue>();
    auto probe = std::make_shared<Probe>();
    Numbered operation;
    auto refused = [&] {
        operation.submit<Kind, OtherError>(
            queue, probe, library, [](void*) { return -EROFS; }, describe);
    };
    CHECK_THROWS_WITH_AS(refused(), "error asking", OtherError);
    auto thrown = [&] {
        operation.submit<Kind>(
            queue, probe, library, [](void*) -> int { throw rbdxx::LogicFault("no"); }, describe);
    };
    CHECK_THROWS_AS(thrown(), rbdxx::LogicFault);
    CHECK(library.released_refused == 2);
    library.refuse_creation = -ENOMEM;
    CHECK_THROWS_AS(refused(), OtherError);
    CHECK(library.created == 2);
    CHECK(queue->take() == nullptr);
    CHECK(operation.handle() == nullptr);
    probe->close();
    library.refuse_creation = 0;
    CHECK_THROWS_AS(refused(), rbdxx::ClosedError);
    CHECK(library.created == 2);
}

TEST_CASE("a held operation is submitted when another one completes, or at the end") {
    Library library;
    auto queue = std::make_shared<engine::Queue>();
    auto probe = std::make_shared<Probe>();
    std::vector<void*> submitted;
    const auto call = [&](void* completion) { submitted.push_back(completion); };
    std::deque<Held> operations;
    const auto submit = [&] {
        operations.emplace_back(library, call).submit_or_hold(queue, probe);
        return submitted.size();
    };
    CHECK(submit() == 1);
    queue->start_holding();
    // Fewer than three are in flight, so the next one to complete may be far away.
    CHECK(submit() == 2);
    CHECK(submit() == 3);
    CHECK(submit() == 3);
    CHECK(submit() == 3);
    CHECK(queue->has_held());
    complete(submitted[0], 0);
    CHECK(submitted.size() == 5);
    CHECK_FALSE(queue->has_held());
    CHECK(submit() == 5);
    queue->stop_holding();
    queue->submit_held();
    CHECK(submitted.size() == 6);
    CHECK(submit() == 7);
    for (std::size_t i = 1; i < submitted.size(); ++i) {
        complete(submitted[i], 0);
    }
    int taken = 0;
    for (engine::Item* one = queue->take(); one != nullptr; one = one->next()) {
        ++taken;
    }
    CHECK(taken == 7);
}

TEST_CASE("no held operation is forgotten") {
    constexpr std::size_t count = 20000;
    constexpr std::size_t depth = 6;
    Library library;
    auto queue = std::make_shared<engine::Queue>();
    auto probe = std::make_shared<Probe>();
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<void*> submitted;
    const auto call = [&](void* completion) {
        std::lock_guard<std::mutex> lock(mutex);
        submitted.push_back(completion);
        changed.notify_one();
    };
    std::vector<std::thread> completing;
    std::atomic<std::size_t> completed{0};
    for (int i = 0; i < 2; ++i) {
        completing.emplace_back([&] {
            while (completed.fetch_add(1) < count) {
                std::unique_lock<std::mutex> lock(mutex);
                changed.wait(lock, [&] { return !submitted.empty(); });
                void* const completion = submitted.front();
                submitted.pop_front();
                lock.unlock();
                complete(completion, 0);
            }
        });
    }
    std::deque<Held> operations;
    // Nobody ends the hold, so each one that is held needs another one to complete.
    queue->start_holding();
    for (std::size_t begun = 0, taken = 0; taken < count;) {
        for (; begun < count && begun - taken < depth; ++begun) {
            operations.emplace_back(library, call).submit_or_hold(queue, probe);
        }
        queue->wait_for(5s);
        engine::Item* one = queue->take();
        REQUIRE(one != nullptr);
        for (; one != nullptr; one = one->next()) {
            ++taken;
        }
    }
    for (std::thread& one : completing) {
        one.join();
    }
}

TEST_CASE("an operation that was begun completes without a call, or is withdrawn") {
    Library library;
    auto queue = std::make_shared<engine::Queue>();
    auto probe = std::make_shared<Probe>();
    Numbered operation;
    operation.begin(queue, probe);
    operation.complete(-ENOENT);
    CHECK(collect(*queue, 1).front()->result() == -ENOENT);
    operation.begin(queue, probe);
    operation.withdraw();
    CHECK(queue->take() == nullptr);
    operation.begin<Kind>(queue, probe, library);
    operation.submit_begun<Kind>(library, [](void*) { return -EBUSY; });
    CHECK(collect(*queue, 1).front()->result() == -EBUSY);
    operation.begin<Kind>(queue, probe, library);
    operation.withdraw<Kind>(library);
    CHECK(queue->take() == nullptr);
    CHECK(library.released_refused == 2);
    library.refuse_creation = -ENOMEM;
    CHECK_THROWS_AS(operation.begin<Kind>(queue, probe, library), rbdxx::Error);
    CHECK(operation.handle() == nullptr);
}

TEST_CASE("work is waited for, or abandoned to its owner") {
    auto owner = std::make_shared<engine::Queue>();
    auto errand = std::make_unique<Errand>(owner);
    CHECK(errand->wait_for(0ms));
    CHECK_FALSE(errand->abandon());
    errand->begin(2);
    CHECK_FALSE(errand->wait_for(1ms));
    errand->finish();
    CHECK_FALSE(errand->wait_for(1ms));
    REQUIRE(errand->abandon());
    Errand* abandoned = errand.release();
    CHECK(owner->take() == nullptr);
    abandoned->finish();
    engine::Item* taken = owner->take();
    REQUIRE(taken == abandoned);
    taken->deliver();
}

TEST_CASE("work without an owner cannot be abandoned") {
    Errand errand(nullptr);
    errand.begin();
    CHECK_FALSE(errand.abandon());
    errand.finish();
}

TEST_CASE("work that ends while it is abandoned has one owner") {
    for (int round = 0; round < 500; ++round) {
        auto owner = std::make_shared<engine::Queue>();
        auto errand = std::make_unique<Errand>(owner);
        Errand& raw = *errand;
        errand->begin();
        bool abandoned = false;
        in_threads(2, [&](int number) {
            if (number == 0) {
                raw.finish();
            } else if (raw.abandon()) {
                abandoned = true;
            }
        });
        if (abandoned) {
            CHECK(errand.release() == owner->take());
            delete &raw;
        } else {
            CHECK(owner->take() == nullptr);
        }
    }
}
