#include "collect.hpp"
#include "place.hpp"

#include <rbdxx/aio.hpp>
#include <rbdxx/io.hpp>

#include <chrono>
#include <deque>

namespace aio = rbdxx::aio;
namespace engine = rbdxx::engine;
using rbdxx::ClosedError;

TEST_CASE_FIXTURE(Place, "operations complete with their results") {
    auto queue = std::make_shared<engine::Queue>();
    const std::vector<char> data = pattern(8192);
    std::vector<char> back(data.size());
    Numbered operation;
    CHECK_FALSE(operation.is_complete());
    aio::write(operation, queue, *image, data.data(), 4096, data.size());
    collect(*queue, 1);
    CHECK(operation.is_complete());
    CHECK(operation.result() == 0);
    CHECK(operation.handle() == nullptr);
    // The same operation again.
    aio::read(operation, queue, *image, back.data(), 4096, back.size());
    collect(*queue, 1);
    CHECK(operation.result() == static_cast<ssize_t>(back.size()));
    CHECK(back == data);

    std::vector<char> first(100);
    std::vector<char> second(200);
    iovec vectors[] = {{first.data(), first.size()}, {second.data(), second.size()}};
    aio::readv(operation, queue, *image, vectors, 2, 4096);
    collect(*queue, 1);
    CHECK(operation.result() == 300);
    CHECK(std::equal(second.begin(), second.end(), data.begin() + 100));
    aio::writev(operation, queue, *image, vectors, 2, 0);
    collect(*queue, 1);
    aio::write_zeroes(operation, queue, *image, 4096, 1, 0);
    collect(*queue, 1);
    aio::flush(operation, queue, *image);
    collect(*queue, 1);
    rbdxx::io::read(*image, back.data(), 0, 300);
    CHECK(std::equal(first.begin(), first.end(), back.begin()));
}

TEST_CASE_FIXTURE(Place, "an operation that the library refuses never reaches the queue") {
    auto queue = std::make_shared<engine::Queue>();
    memory::refuse(512, -EROFS);
    engine::Operation operation;
    char data = 0;
    try {
        aio::write(operation, queue, *image, &data, 512, 1);
        FAIL("nothing was thrown");
    } catch (const rbdxx::Error& error) {
        CHECK(error.code() == EROFS);
        CHECK(std::string(error.what()) == "error writing image 'vm' at 512~1");
    }
    CHECK(queue->take() == nullptr);
    CHECK(operation.handle() == nullptr);
    CHECK_THROWS_AS(aio::discard(operation, queue, *image, 0, 1), rbdxx::MissingFunction);
    image->close();
    CHECK_THROWS_AS(aio::read(operation, queue, *image, &data, 0, 1), ClosedError);
}

TEST_CASE_FIXTURE(Place, "an operation that fails under way completes with the error") {
    auto queue = std::make_shared<engine::Queue>();
    memory::spoil(0, -EIO);
    Numbered operation;
    char data = 0;
    aio::read(operation, queue, *image, &data, 0, 1);
    collect(*queue, 1);
    CHECK(operation.result() == -EIO);
}

TEST_CASE_FIXTURE(Place, "close waits for operations, until they are taken or leave early") {
    auto queue = std::make_shared<engine::Queue>();
    char data = 0;
    {
        Numbered operation;
        aio::read(operation, queue, *image, &data, 0, 1);
        std::thread closer([this] { image->close(); });
        collect(*queue, 1);
        closer.join();
        CHECK(operation.is_complete());
    }
    rbdxx::Image other = open();
    Numbered early;
    early.leave_early();
    aio::read(early, queue, other, &data, 0, 1);
    other.close();
    CHECK(early.is_complete());
    collect(*queue, 1);
}

TEST_CASE_FIXTURE(Place, "an image whose last owner is an operation closes with it") {
    auto queue = std::make_shared<engine::Queue>();
    char data = 0;
    Numbered operation;
    aio::read(operation, queue, *image, &data, 0, 1);
    image.reset();
    ioctx.reset();
    cluster.reset();
    collect(*queue, 1);
    CHECK(operation.result() == 1);
}

TEST_CASE_FIXTURE(Place, "images open and close without waiting") {
    auto queue = std::make_shared<engine::Queue>();
    rbdxx::OpenOptions options;
    options.name = "other";
    rbdxx::abi::rbd_image_t raw = nullptr;
    Numbered operation;
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    REQUIRE(operation.result() == 0);
    rbdxx::Image opened = rbdxx::Image::adopt(cluster->state(), raw, options);
    CHECK(opened.size() == memory::image_size);

    // A read under way comes first.
    Numbered read;
    char data = 0;
    aio::read(read, queue, opened, &data, 0, 1);
    aio::close(operation, queue, opened);
    Numbered again;
    CHECK_THROWS_AS(aio::close(again, queue, opened), ClosedError);
    CHECK_THROWS_AS(opened.size(), ClosedError);
    collect(*queue, 2);
    CHECK(operation.result() == 0);

    options.name = "missing";
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    CHECK(operation.result() == -ENOENT);
}

TEST_CASE_FIXTURE(Place, "an image opens read-only at a snapshot, in two steps") {
    auto queue = std::make_shared<engine::Queue>();
    rbdxx::OpenOptions options;
    options.name = "other";
    options.snapshot = "snap";
    options.read_only = true;
    CHECK(rbdxx::Image::open(*ioctx, options).size() == memory::image_size);

    rbdxx::abi::rbd_image_t raw = nullptr;
    Numbered operation;
    operation.leave_early();
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    REQUIRE(operation.result() == 0);
    CHECK(rbdxx::Image::adopt(cluster->state(), raw, options).size() == memory::image_size);

    // A missing snapshot leaves nothing open; otherwise the end of the connection would fail.
    options.snapshot = "missing";
    CHECK_THROWS_AS(rbdxx::Image::open(*ioctx, options), rbdxx::Error);
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    CHECK(operation.result() == -ENOENT);
    options.name = "missing";
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    CHECK(operation.result() == -ENOENT);
}

TEST_CASE("many threads submit, one collects, one closes in the middle") {
    for (int round = 0; round < 20; ++round) {
        Place place;
        constexpr std::size_t submitters = 3;
        constexpr std::size_t each = 100;
        auto queue = std::make_shared<engine::Queue>();
        std::deque<Numbered> operations(submitters * each);
        std::vector<char> data(operations.size());
        std::atomic<int> submitted{0};
        std::atomic<bool> over{false};
        std::thread consumer([&] {
            int taken = 0;
            while (!over || taken < submitted) {
                queue->wait_for(std::chrono::milliseconds(10));
                for (engine::Item* one = queue->take(); one != nullptr;) {
                    engine::Item* following = one->next();
                    static_cast<engine::Operation*>(one)->finish();
                    ++taken;
                    one = following;
                }
            }
        });
        in_threads(static_cast<int>(submitters) + 1, [&](int number) {
            if (number == static_cast<int>(submitters)) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                place.image->close();
                return;
            }
            try {
                for (std::size_t i = 0; i < each; ++i) {
                    const std::size_t index = static_cast<std::size_t>(number) * each + i;
                    aio::read(operations[index], queue, *place.image, &data[index], index, 1);
                    ++submitted;
                }
            } catch (const ClosedError&) {
            }
        });
        over = true;
        queue->wake();
        consumer.join();
    }
}

TEST_CASE_FIXTURE(Place, "an asynchronous close during another close is refused") {
    auto queue = std::make_shared<engine::Queue>();
    std::vector<char> data(512);
    Numbered read;
    rbdxx::Image other = open();
    std::thread closing;
    {
        memory::Hold hold;
        aio::read(read, queue, other, data.data(), 0, data.size());
        closing = std::thread([&] { other.close(); });
        while (!other.closed()) {
            std::this_thread::yield();
        }
        auto operation = std::make_unique<Numbered>();
        CHECK_THROWS_AS(aio::close(*operation, queue, other), ClosedError);
    }
    collect(*queue, 1);
    closing.join();
    CHECK(queue->take() == nullptr);
}
