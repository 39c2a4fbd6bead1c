#include "place.hpp"

#include <rbdxx/handle.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

using namespace std::chrono_literals;

namespace {

// A handle on a number that no use may find freed. ThreadSanitizer watches the number, which only
// the handle itself protects.
struct Probe final : rbdxx::Handle {
    ~Probe() override { close(); }
    std::string describe() const override { return "probe"; }
    int destroy() noexcept override {
        std::this_thread::sleep_for(takes);
        value = 0;
        ++destroyed;
        return answer;
    }
    void release() noexcept override { ++released; }

    int value = 42;
    int answer = 0;
    std::chrono::milliseconds takes{0};
    int destroyed = 0;
    int released = 0;
};

}  // namespace

TEST_CASE("closing frees once and returns the library's result once") {
    Probe probe;
    probe.answer = -EIO;
    CHECK(probe.close() == -EIO);
    CHECK(probe.close() == 0);
    CHECK(probe.closed());
    CHECK(probe.destroyed == 1);
    CHECK(probe.released == 1);
    CHECK_THROWS_AS(probe.enter(), rbdxx::ClosedError);
    CHECK_FALSE(probe.close_later());
    CHECK(probe.state() == rbdxx::Handle::State::closed);
}

TEST_CASE("uses in many threads never see it freed") {
    for (int round = 0; round < 200; ++round) {
        auto probe = std::make_shared<Probe>();
        std::atomic<int> sums{0};
        in_threads(4, [&](int number) {
            if (number == 3) {
                probe->close();
                return;
            }
            try {
                for (int i = 0; i < 100; ++i) {
                    probe->enter();
                    sums += probe->value == 42 ? 0 : 1;
                    probe->leave();
                }
            } catch (const rbdxx::ClosedError&) {
            }
        });
        CHECK(sums == 0);
        CHECK(probe->destroyed == 1);
    }
}

TEST_CASE("every thread that closes returns when the handle is closed") {
    for (int round = 0; round < 200; ++round) {
        Probe probe;
        in_threads(4, [&](int) {
            probe.close();
            if (probe.value != 0) {
                throw rbdxx::Error(0, "close() returned too early");
            }
        });
        CHECK(probe.destroyed == 1);
    }
}

TEST_CASE("a close under way frees the handle itself") {
    Probe probe;
    probe.answer = -EIO;
    probe.enter();
    rbdxx::Handle::Closing closing(probe);
    CHECK_FALSE(closing.wait_for(1ms));
    CHECK(probe.state() == rbdxx::Handle::State::closing);
    probe.leave();
    CHECK(probe.destroyed == 0);
    CHECK(closing.wait_for(0ms));
    CHECK(probe.destroyed == 1);
    CHECK(closing.result() == -EIO);
    CHECK(probe.state() == rbdxx::Handle::State::closed);
}

TEST_CASE("if a close stops waiting, the last call under way closes") {
    for (bool left_before : {false, true}) {
        Probe probe;
        probe.enter();
        {
            rbdxx::Handle::Closing closing(probe);
            CHECK_FALSE(closing.wait_for(1ms));
            if (left_before) {
                probe.leave();
            }
        }
        CHECK(probe.closed());
        CHECK(probe.destroyed == (left_before ? 1 : 0));
        if (!left_before) {
            probe.leave();
        }
        CHECK(probe.destroyed == 1);
    }
}

TEST_CASE("inside a callback, close does not wait for the callback's own call") {
    Probe probe;
    probe.enter();
    {
        rbdxx::CallbackScope scope;
        CHECK(rbdxx::CallbackScope::active());
        CHECK(probe.close() == 0);
    }
    CHECK_FALSE(rbdxx::CallbackScope::active());
    CHECK(probe.destroyed == 0);
    probe.leave();
    CHECK(probe.destroyed == 1);
}

TEST_CASE("a close waits for the close that a callback began, and gets its result") {
    for (bool waits_before : {true, false}) {
        auto probe = std::make_shared<Probe>();
        probe->answer = -EIO;
        probe->takes = 200ms;
        probe->enter();
        std::atomic<int> closes{0};
        in_threads(2, [&](int number) {
            if (number == 1) {
                // The call whose callback closes, and which is the last to end.
                while (waits_before && !probe->closed()) {
                    std::this_thread::yield();
                }
                {
                    rbdxx::CallbackScope scope;
                    CHECK(probe->close() == 0);
                }
                probe->leave();
                return;
            }
            while (!waits_before && !probe->closed()) {
                std::this_thread::yield();
            }
            CHECK(probe->close() == -EIO);
            CHECK(probe->destroyed == 1);
            ++closes;
        });
        CHECK(closes == 1);
        CHECK(probe->close() == 0);
        CHECK(probe->destroyed == 1);
    }
}

TEST_CASE("every waiter of a close gets its result") {
    auto probe = std::make_shared<Probe>();
    probe->answer = -EIO;
    probe->enter();
    std::atomic<int> failures{0};
    in_threads(4, [&](int number) {
        if (number == 3) {
            std::this_thread::sleep_for(200ms);
            probe->leave();
        } else if (probe->close() == -EIO) {
            ++failures;
        }
    });
    CHECK(failures == 3);
    CHECK(probe->destroyed == 1);
}

TEST_CASE("close_later lets the last call under way close") {
    Probe probe;
    probe.enter();
    probe.close_later();
    CHECK(probe.destroyed == 0);
    CHECK_THROWS_AS(probe.enter(), rbdxx::ClosedError);
    probe.leave();
    CHECK(probe.destroyed == 1);
}

TEST_CASE("a library thread with the last call does not close the handle itself") {
    auto probe = std::make_shared<Probe>();
    probe->enter();
    probe->close_later();
    rbdxx::Handle::leave_from_library(probe);
    probe->close();  // waits for the thread that closes
    CHECK(probe->destroyed == 1);
}

TEST_CASE("a lent handle closes with the last borrower") {
    Probe probe;
    probe.lend();
    probe.enter();
    probe.close();
    CHECK(probe.destroyed == 0);
    probe.leave();
    CHECK(probe.destroyed == 1);
    probe.take_back();
}

TEST_CASE("a lent handle closes once, whoever is last") {
    for (int round = 0; round < 200; ++round) {
        auto probe = std::make_shared<Probe>();
        probe->lend();
        probe->enter();
        in_threads(2, [&](int number) {
            if (number == 0) {
                probe->close();
            } else {
                probe->leave();
                probe->take_back();
            }
        });
        probe->close();
        CHECK(probe->destroyed == 1);
    }
}

TEST_CASE("a close stops waiting for a call once the call is abandoned") {
    for (int round = 0; round < 20; ++round) {
        Probe probe;
        probe.enter();
        in_threads(2, [&](int number) {
            if (number == 0) {
                probe.close();
            } else {
                while (!probe.closed()) {
                    std::this_thread::yield();
                }
                probe.lend();
            }
        });
        CHECK(probe.destroyed == 0);
        probe.leave();
        probe.take_back();
        CHECK(probe.destroyed == 1);
    }
}

TEST_CASE("a close waits for other calls after an abandoned one has ended") {
    for (int round = 0; round < 200; ++round) {
        auto probe = std::make_shared<Probe>();
        probe->enter();
        probe->enter();
        probe->lend();
        in_threads(3, [&](int number) {
            if (number == 0) {
                probe->close();
            } else if (number == 1) {
                probe->leave();
                probe->take_back();
            } else {
                CHECK(probe->destroyed == 0);
                probe->leave();
            }
        });
        probe->close();
        CHECK(probe->destroyed == 1);
    }
}

TEST_CASE("an abandoned handle never reaches the library") {
    Probe probe;
    probe.enter();
    probe.abandon();
    CHECK(probe.state() == rbdxx::Handle::State::abandoned);
    CHECK_THROWS_AS(probe.enter(), rbdxx::DisconnectedError);
    CHECK(probe.close() == 0);
    CHECK(probe.released == 0);
    probe.leave();
    CHECK(probe.destroyed == 0);
    CHECK(probe.released == 1);
    CHECK_THROWS_WITH(probe.enter(), "probe is closed");
}

TEST_CASE("a waiting close ends if the connection ends") {
    auto probe = std::make_shared<Probe>();
    probe->enter();
    in_threads(2, [&](int number) {
        if (number == 0) {
            probe->close();
        } else {
            while (!probe->closed()) {
                std::this_thread::yield();
            }
            probe->abandon();
        }
    });
    probe->leave();
    CHECK(probe->destroyed == 0);
    CHECK(probe->released == 1);
}

TEST_CASE("a handle over a lost connection cannot be used") {
    struct Switch final : rbdxx::Guard {
        bool gone() const noexcept override {
            ++asked;
            return cut;
        }
        bool cut = false;
        mutable int asked = 0;
    };
    auto guard = std::make_shared<Switch>();
    Probe probe;
    probe.set_guard(guard);
    probe.enter();
    guard->cut = true;
    CHECK_THROWS_AS(probe.enter(), rbdxx::DisconnectedError);
    probe.leave();
    probe.close();
    CHECK(probe.destroyed == 1);
    // A closed handle does not ask any more.
    const int asked = guard->asked;
    CHECK_THROWS_AS(probe.enter(), rbdxx::ClosedError);
    CHECK(guard->asked == asked);
}

TEST_CASE("a child process cannot use or free the handle") {
    Probe probe;
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int failures = 0;
        try {
            probe.enter();
            ++failures;
        } catch (const rbdxx::ForkedError&) {
        }
        failures += probe.close() != 0 || !probe.closed() || !probe.forked() ? 1 : 0;
        failures += probe.destroyed;
        ::_exit(failures);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(probe.value == 42);
}

TEST_CASE("at the end of the process, close waits only for a limited time") {
    auto* stuck = new Probe;
    stuck->enter();
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        auto* own = new Probe;  // belongs to the child
        own->enter();
        rbdxx::end_of_process();
        own->close();
        ::_exit(own->destroyed);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    stuck->leave();
    delete stuck;
}
