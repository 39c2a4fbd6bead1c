// Each allocation that the library makes is refused once: the caller gets std::bad_alloc, and
// nothing is kept. The linker redirects operator new of the library and of this file here, but not
// that of the librbd in memory, because a real one handles that itself.
#include "place.hpp"

#include <rbdxx/aio.hpp>
#include <rbdxx/batch.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/reader.hpp>
#include <rbdxx/watch.hpp>
#include <rbdxx/writer.hpp>

#include <new>

namespace {

thread_local bool armed = false;
thread_local int asked = 0;
thread_local int refused = 0;

}  // namespace

extern "C" {
void* __real__Znwm(std::size_t size);
// Visible, because the linker assumes that shared libraries call it.
__attribute__((visibility("default"))) void* __wrap__Znwm(std::size_t size);

void* __wrap__Znwm(std::size_t size) {
    if (armed && asked++ == refused) {
        throw std::bad_alloc();
    }
    return __real__Znwm(size);
}
}

namespace {

// The most allocations of one call.
constexpr int most = 1000;

// Refuses one allocation of this thread.
class Famine {
public:
    explicit Famine(int after) {
        asked = 0;
        refused = after;
        armed = true;
    }
    ~Famine() { armed = false; }
    Famine(const Famine&) = delete;
    Famine& operator=(const Famine&) = delete;
};

bool same(const memory::Live& one, const memory::Live& other) {
    return one.clusters == other.clusters && one.ioctxs == other.ioctxs &&
           one.images == other.images && one.completions == other.completions;
}

// Makes the call once for each allocation, which is refused.
void starve(const std::function<void()>& call) {
    call();
    int raised = 0;
    for (int after = 0;; ++after) {
        REQUIRE(after < most);
        const memory::Live before = memory::live();
        try {
            Famine famine(after);
            call();
        } catch (const std::bad_alloc&) {
            ++raised;
        }
        CHECK_MESSAGE(same(memory::live(), before), "after ", after, " allocations");
        if (asked <= after) {
            break;
        }
    }
    CHECK(raised > 0);
}

// Waits for an operation that was submitted.
void finish(rbdxx::engine::Queue& queue) {
    rbdxx::engine::Item* one = nullptr;
    while ((one = queue.take()) == nullptr) {
        queue.wait();
    }
    static_cast<rbdxx::engine::Operation*>(one)->finish();
}

}  // namespace

TEST_CASE_FIXTURE(Place, "a refused allocation fails connecting, opening or closing") {
    starve([] {
        auto made = connected();
        auto context = rbdxx::IoCtx::open(made, "rbd");
    });
    starve([&] { open().close(); });
}

TEST_CASE_FIXTURE(Place, "a refused allocation fails an operation") {
    const std::vector<char> data = pattern(4096);
    auto queue = std::make_shared<rbdxx::engine::Queue>();
    starve([&] {
        auto operation = std::make_unique<rbdxx::engine::Operation>();
        rbdxx::aio::write(*operation, queue, *image, data.data(), 0, data.size());
        finish(*queue);
    });
    starve([&] {
        auto operation = std::make_unique<rbdxx::engine::Operation>();
        rbdxx::OpenOptions options;
        options.name = "vm";
        rbdxx::abi::rbd_image_t raw = nullptr;
        rbdxx::aio::open(*operation, queue, *ioctx, options, &raw);
        finish(*queue);
        rbdxx::Image::adopt(ioctx->state()->cluster, raw, options).close();
    });
    starve([&] {
        rbdxx::Image other = open();
        auto operation = std::make_unique<rbdxx::engine::Operation>();
        rbdxx::aio::close(*operation, queue, other);
        finish(*queue);
    });
    starve([&] {
        rbdxx::Image other = open();
        rbdxx::io::write(other, data.data(), 0, data.size());
        auto operation = std::make_unique<rbdxx::engine::Operation>();
        // Written data is saved in a thread of its own, if one can be started.
        rbdxx::aio::close(*operation, queue, other);
        finish(*queue);
    });
}

TEST_CASE_FIXTURE(Place, "an image closes even if no thread can be started for it") {
    auto operation = open();
    const auto state = operation.state();
    state->enter();
    state->close_later();
    {
        // There is no caller to tell.
        Famine famine(0);
        rbdxx::Handle::leave_from_library(state);
    }
    // A later close, or the last owner, closes then.
    state->close();
}

TEST_CASE_FIXTURE(Place, "a quiesce runs even if its time cannot be limited") {
    int quiesces = 0;
    rbdxx::watch::Hooks hooks;
    hooks.quiesce = [&](const auto& watch, uint64_t number) {
        ++quiesces;
        watch->complete(number, 0);
    };
    const auto watch = rbdxx::watch::Watch::on_quiesce(*image, hooks, std::chrono::seconds(10));
    {
        Famine famine(0);
        memory::announce();
    }
    CHECK(quiesces == 1);
    watch->close();
}

TEST_CASE_FIXTURE(Place, "a refused allocation fails a batch") {
    constexpr std::size_t block = 512;
    std::vector<char> data = pattern(20 * block);
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < 20; ++i) {
        offsets.push_back(i * 4096);
    }
    auto run = [&](std::shared_ptr<rbdxx::batch::Plan> plan) {
        rbdxx::batch::run(*image, plan, 4);
    };
    starve([&] { run(rbdxx::batch::Blocks::write(*image, data.data(), offsets, block)); });
    starve([&] { run(rbdxx::batch::Blocks::read(data.data(), offsets, block)); });
    memory::spoil(offsets[7], -EIO);
    starve([&] {
        try {
            run(rbdxx::batch::Blocks::read(data.data(), offsets, block));
        } catch (const rbdxx::BatchError& error) {
            CHECK(error.index() == 7);
        }
    });
}

TEST_CASE_FIXTURE(Place, "a refused allocation fails a pipeline") {
    constexpr uint64_t piece = 64 << 10;
    std::vector<char> ring(8 * piece);
    starve([&] {
        rbdxx::pipeline::Reader reader(*image, ring.data(), ring.size(), 4, piece, 4096, 0);
        reader.push(0, 4 * piece, true);
        while (!reader.idle()) {
            reader.pop();
        }
    });
}
