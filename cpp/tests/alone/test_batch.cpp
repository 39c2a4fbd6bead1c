#include "place.hpp"

#include <rbdxx/batch.hpp>
#include <rbdxx/io.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

namespace batch = rbdxx::batch;
using namespace std::chrono_literals;
using batch::Blocks;

namespace {

constexpr std::size_t block = 4096;

using batch::run;

std::vector<uint64_t> every_other(std::size_t count) {
    std::vector<uint64_t> offsets;
    for (std::size_t i = 0; i < count; ++i) {
        offsets.push_back(((i * 37) % count) * 2 * block);
    }
    return offsets;
}

// Returns the error that the plan fails with.
rbdxx::BatchError error_of(const rbdxx::Image& image, const std::shared_ptr<batch::Plan>& plan) {
    try {
        run(image, plan, 4);
    } catch (const rbdxx::BatchError& error) {
        return error;
    }
    throw std::logic_error("the plan did not fail");
}

}  // namespace

TEST_CASE_FIXTURE(Place, "blocks are written to their places at any depth") {
    for (uint64_t depth : {1U, 2U, 64U, 1000U}) {
        const std::vector<uint64_t> offsets = every_other(300);
        const std::vector<char> data = pattern(offsets.size() * block, depth);
        std::vector<char> back(data.size());
        run(*image, Blocks::write(*image, data.data(), offsets, block), depth);
        run(*image, Blocks::read(back.data(), offsets, block), depth);
        CHECK(back == data);
        std::vector<char> one(block);
        rbdxx::io::read(*image, one.data(), offsets[7], block);
        CHECK(std::equal(one.begin(), one.end(), data.begin() + std::ptrdiff_t{7 * block}));
        rbdxx::io::read(*image, one.data(), block, block);
        CHECK(std::count(one.begin(), one.end(), '\0') == block);
    }
}

TEST_CASE_FIXTURE(Place, "the failure with the lowest index is reported, and the others are done") {
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

TEST_CASE_FIXTURE(Place, "small blocks that follow each other go together") {
    std::vector<uint64_t> offsets;
    for (std::size_t i = 0; i < 40; ++i) {
        offsets.push_back(i * block);
    }
    std::swap(offsets[38], offsets[39]);
    const std::vector<char> data = pattern(offsets.size() * block);
    std::vector<char> back(data.size());
    int earlier = memory::submissions();
    run(*image, Blocks::write(*image, data.data(), offsets, block), 4);
    run(*image, Blocks::read(back.data(), offsets, block), 4);
    // 16 blocks, 16, 6, 1 and 1.
    CHECK(memory::submissions() - earlier == 2 * 5);
    CHECK(back == data);
    // Two blocks would be too large.
    earlier = memory::submissions();
    run(*image, Blocks::read(back.data(), {0, 40000}, 40000), 4);
    CHECK(memory::submissions() - earlier == 2);
}

TEST_CASE_FIXTURE(Place, "blocks that fail together are tried one by one") {
    const std::vector<uint64_t> offsets = {0, block, 2 * block, 3 * block};
    const std::vector<char> data = pattern(offsets.size() * block);
    run(*image, Blocks::write(*image, data.data(), offsets, block), 4);
    for (const bool submitted : {true, false}) {
        submitted ? memory::spoil(2 * block, -EIO) : memory::refuse(2 * block, -EIO);
        std::vector<char> back(data.size());
        const auto error = error_of(*image, Blocks::read(back.data(), offsets, block));
        CHECK(error.code() == EIO);
        CHECK(error.index() == 2);
        CHECK(error.offset() == 2 * block);
        // The others were read.
        std::copy_n(data.begin() + std::ptrdiff_t{2 * block}, block,
                    back.begin() + std::ptrdiff_t{2 * block});
        CHECK(back == data);
        memory::forgive();
    }
    // A time limit is not waited for again.
    memory::spoil(2 * block, -ETIMEDOUT);
    const int earlier = memory::submissions();
    std::vector<char> back(data.size());
    const auto error = error_of(*image, Blocks::read(back.data(), offsets, block));
    CHECK(error.code() == ETIMEDOUT);
    CHECK(error.index() == 0);
    CHECK(memory::submissions() - earlier == 1);
}

TEST_CASE_FIXTURE(Place, "the first block that does not fit is reported") {
    const uint64_t end = memory::image_size;
    std::vector<char> data(3 * block, 'x');
    auto index_of = [&](const std::shared_ptr<batch::Plan>& plan) {
        const auto error = error_of(*image, plan);
        return std::make_pair(error.code(), error.index());
    };
    const std::vector<uint64_t> whole = {end - 2 * block, end - block, end};
    CHECK(index_of(Blocks::read(data.data(), whole, block)) == std::make_pair(EINVAL, uint64_t{2}));
    CHECK(index_of(Blocks::write(*image, data.data(), whole, block)) ==
          std::make_pair(EINVAL, uint64_t{2}));
    const std::vector<uint64_t> across = {end - block - 1, end - 1, end + block - 1};
    CHECK(index_of(Blocks::read(data.data(), across, block)) ==
          std::make_pair(EINVAL, uint64_t{1}));
    // Incomplete.
    CHECK(index_of(Blocks::write(*image, data.data(), across, block)) ==
          std::make_pair(0, uint64_t{1}));
    // The last offset there is.
    const std::vector<uint64_t> last = {~uint64_t{0} - block + 1, 0, block};
    CHECK(index_of(Blocks::read(data.data(), last, block)) == std::make_pair(EINVAL, uint64_t{0}));
}

TEST_CASE_FIXTURE(Place, "a block across the end is incomplete, and one after it is refused") {
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

TEST_CASE_FIXTURE(Place, "an empty batch is an error only on a closed image") {
    run(*image, Blocks::read(nullptr, {}, 0), 4);
    image->close();
    CHECK_THROWS_AS(run(*image, Blocks::read(nullptr, {}, 0), 4), rbdxx::ClosedError);
}

TEST_CASE_FIXTURE(Place, "more vectors than one call takes fill one region") {
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
    run(*image, writing, 2);
    auto reading = std::make_shared<batch::Vectors>(cut(back), 512);
    run(*image, reading, 2);
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

TEST_CASE_FIXTURE(Place, "a batch that is cancelled submits nothing more") {
    const std::vector<uint64_t> offsets = every_other(400);
    std::vector<char> data(offsets.size() * block, 'x');
    batch::Batch all(*image, Blocks::read(data.data(), offsets, block), 4);
    {
        memory::Hold hold;
        CHECK_FALSE(all.run_for(1s));
        all.cancel();
        CHECK_FALSE(all.wait_for(1ms));
    }
    CHECK(all.run_for(std::chrono::nanoseconds::max()));
    all.check();
    CHECK(std::count(data.begin(), data.end(), '\0') == 4 * block);
}

TEST_CASE_FIXTURE(Place, "a batch that goes out of scope waits for its operations") {
    const std::vector<uint64_t> offsets = every_other(10);
    for (int round = 0; round < 50; ++round) {
        std::vector<char> data(offsets.size() * block);
        batch::Batch all(*image, Blocks::read(data.data(), offsets, block), 4);
        all.run_for(0ms);
    }
}

TEST_CASE_FIXTURE(Place, "an abandoned batch ends with its owner, and the image stays open") {
    const std::vector<uint64_t> offsets = every_other(10);
    std::vector<char> data(offsets.size() * block);
    auto owner = std::make_shared<rbdxx::engine::Queue>();
    auto all =
        std::make_unique<batch::Batch>(*image, Blocks::read(data.data(), offsets, block), 4, owner);
    {
        memory::Hold hold;
        CHECK_FALSE(all->run_for(1ms));
        all->cancel();
        REQUIRE(all->abandon());
    }
    image.reset();
    owner->wait();
    CHECK(owner->take() == all.get());
}

TEST_CASE_FIXTURE(Place, "many batches run at once over one image") {
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
