#include "place.hpp"

#include <rbdxx/batch.hpp>
#include <rbdxx/io.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace batch = rbdxx::batch;
using batch::Blocks;
using batch::Outcome;

namespace {

constexpr std::size_t block = 4096;

bool never() {
    return false;
}

// Takes what is orphaned, and says when that has happened.
struct Heir {
    batch::Orphan make() {
        return [this](std::shared_ptr<void> what) {
            std::lock_guard<std::mutex> lock(mutex);
            orphan = std::move(what);
            changed.notify_all();
        };
    }
    void wait() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return orphan != nullptr; });
        orphan.reset();
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::shared_ptr<void> orphan;
};

Outcome run(const rbdxx::Image& image, const std::shared_ptr<batch::Plan>& plan, uint64_t depth) {
    return batch::run(image, plan, depth, never, [] { return batch::Orphan(); });
}

std::vector<uint64_t> every_other(std::size_t count) {
    std::vector<uint64_t> offsets;
    for (std::size_t i = 0; i < count; ++i) {
        offsets.push_back(((i * 37) % count) * 2 * block);
    }
    return offsets;
}

}  // namespace

TEST_CASE_FIXTURE(Place, "blocks go where they belong, at any depth") {
    for (uint64_t depth : {1U, 2U, 64U, 1000U}) {
        const std::vector<uint64_t> offsets = every_other(300);
        const std::vector<char> data = pattern(offsets.size() * block, depth);
        std::vector<char> back(data.size());
        CHECK(run(*image, Blocks::write(*image, data.data(), offsets, block), depth) ==
              Outcome::done);
        CHECK(run(*image, Blocks::read(back.data(), offsets, block), depth) == Outcome::done);
        CHECK(back == data);
        std::vector<char> one(block);
        rbdxx::io::read(*image, one.data(), offsets[7], block);
        CHECK(std::equal(one.begin(), one.end(), data.begin() + std::ptrdiff_t{7 * block}));
        rbdxx::io::read(*image, one.data(), block, block);
        CHECK(std::count(one.begin(), one.end(), '\0') == block);
    }
}

TEST_CASE_FIXTURE(Place, "the failure of the lowest index is told, the others are done") {
    const std::vector<uint64_t> offsets = every_other(100);
    const std::vector<char> data = pattern(offsets.size() * block);
    memory::spoil(offsets[70], -EIO);
    memory::refuse(offsets[20], -EROFS);
    memory::spoil(offsets[90], -EIO);
    try {
        run(*image, Blocks::write(*image, data.data(), offsets, block), 8);
        FAIL("nothing was thrown");
    } catch (const rbdxx::BatchError& error) {
        CHECK(error.code() == EROFS);
        CHECK(error.index() == 20);
        CHECK(error.offset() == offsets[20]);
        CHECK(std::string(error.what()) == "error writing image 'vm' at " +
                                               std::to_string(offsets[20]) +
                                               "~4096 (operation 20 of 100)");
    }
    std::vector<char> one(block);
    rbdxx::io::read(*image, one.data(), offsets[99], block);
    CHECK(std::equal(one.begin(), one.end(), data.begin() + std::ptrdiff_t{99 * block}));
}

TEST_CASE_FIXTURE(Place, "a block across the end is incomplete, one behind it is refused") {
    std::vector<char> data(block);
    const uint64_t end = memory::image_size;
    auto code_of = [&](const std::shared_ptr<batch::Plan>& plan) {
        try {
            run(*image, plan, 4);
        } catch (const rbdxx::BatchError& error) {
            return error.code();
        }
        return -1;
    };
    CHECK(code_of(Blocks::write(*image, data.data(), {end - 1}, block)) == 0);
    CHECK(code_of(Blocks::write(*image, data.data(), {end}, block)) == EINVAL);
    CHECK(code_of(Blocks::read(data.data(), {end - 1}, block)) == EINVAL);
    CHECK(code_of(Blocks::read(data.data(), {end}, block)) == EINVAL);
}

TEST_CASE_FIXTURE(Place, "nothing to do is no error, but on a closed image") {
    CHECK(run(*image, Blocks::read(nullptr, {}, 0), 4) == Outcome::done);
    image->close();
    CHECK_THROWS_AS(run(*image, Blocks::read(nullptr, {}, 0), 4), rbdxx::ClosedError);
}

TEST_CASE_FIXTURE(Place, "vectors fill one stretch, more of them than one call takes") {
    const std::vector<char> data = pattern(48000);
    std::vector<char> mutable_data = data;
    std::vector<char> back(data.size());
    auto cut = [](std::vector<char>& bytes) {
        std::vector<iovec> vectors;
        for (std::size_t at = 0; at < bytes.size(); at += 16) {
            vectors.push_back({bytes.data() + at, 16});
        }
        return vectors;
    };
    auto writing = std::make_shared<batch::Vectors>(*image, cut(mutable_data), 512);
    CHECK(writing->count() == 3);
    CHECK(run(*image, writing, 2) == Outcome::done);
    auto reading = std::make_shared<batch::Vectors>(cut(back), 512);
    CHECK(run(*image, reading, 2) == Outcome::done);
    CHECK(reading->done() == data.size());
    CHECK(back == data);
    // Across the end: short.
    auto across = std::make_shared<batch::Vectors>(cut(back), memory::image_size - 100);
    try {
        run(*image, across, 4);
    } catch (const rbdxx::BatchError&) {
    }
    CHECK(across->done() == 100);
}

TEST_CASE_FIXTURE(Place, "an interruption stops the submissions") {
    const std::vector<uint64_t> offsets = every_other(400);
    std::vector<char> data(offsets.size() * block);
    Heir heir;
    int asked = 0;
    std::optional<memory::Hold> hold(std::in_place);
    Outcome outcome = batch::run(
        *image, Blocks::read(data.data(), offsets, block), 4,
        [&] {
            ++asked;
            hold.reset();
            return true;
        },
        [&] { return heir.make(); });
    CHECK(asked == 1);
    CHECK((outcome == Outcome::interrupted || outcome == Outcome::orphaned));
    if (outcome == Outcome::orphaned) {
        heir.wait();
    }
}

TEST_CASE_FIXTURE(Place, "what does not settle is orphaned, and lets go of the image when it has") {
    const std::vector<uint64_t> offsets = every_other(10);
    std::vector<char> data(offsets.size() * block);
    Heir heir;
    {
        memory::Hold hold;
        CHECK(batch::run(
                  *image, Blocks::read(data.data(), offsets, block), 4, [] { return true; },
                  [&] { return heir.make(); }) == Outcome::orphaned);
    }
    image.reset();
    heir.wait();
}

TEST_CASE_FIXTURE(Place, "many batches at once over one image") {
    in_threads(4, [&](int number) {
        std::vector<uint64_t> offsets;
        for (uint64_t i = 0; i < 60; ++i) {
            offsets.push_back((i * 4 + static_cast<uint64_t>(number)) * block);
        }
        const std::vector<char> data =
            pattern(offsets.size() * block, static_cast<uint64_t>(number) + 10);
        std::vector<char> back(data.size());
        for (int i = 0; i < 10; ++i) {
            run(*image, Blocks::write(*image, data.data(), offsets, block), 16);
            run(*image, Blocks::read(back.data(), offsets, block), 16);
            if (back != data) {
                throw rbdxx::Error(0, "other data came back");
            }
        }
    });
}

TEST_CASE("a close in the middle waits for the batch") {
    for (int round = 0; round < 30; ++round) {
        Place place;
        std::vector<char> data(100 * block);
        in_threads(2, [&](int number) {
            if (number == 0) {
                place.image->close();
                return;
            }
            try {
                run(*place.image, Blocks::read(data.data(), every_other(100), block), 8);
            } catch (const rbdxx::ClosedError&) {
            }
        });
    }
}
