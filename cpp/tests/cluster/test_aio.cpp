#include "place.hpp"

#include <atomic>
#include <cstring>
#include <deque>
#include <thread>

namespace aio = rbdxx::aio;
namespace engine = rbdxx::engine;

namespace {

void collect(engine::Queue& queue, std::size_t count) {
    while (count > 0) {
        queue.wait();
        for (engine::Item* one = queue.take(); one != nullptr; --count) {
            engine::Item* following = one->next();
            static_cast<engine::Operation*>(one)->finish();
            one = following;
        }
    }
}

}  // namespace

TEST_CASE_FIXTURE(Place, "every operation completes with its result") {
    auto queue = std::make_shared<engine::Queue>();
    std::string data(4096, 'a');
    engine::Operation operation;
    auto result = [&] {
        collect(*queue, 1);
        return operation.result();
    };
    aio::write(operation, queue, *image, data.data(), 0, data.size());
    CHECK(result() == 0);
    std::string back(4096, '?');
    aio::read(operation, queue, *image, back.data(), 0, back.size());
    CHECK(result() == 4096);
    CHECK(back == data);
    iovec vectors[] = {{back.data(), 1000}, {data.data(), 24}};
    aio::writev(operation, queue, *image, vectors, 2, 8192);
    CHECK(result() == 0);
    aio::readv(operation, queue, *image, vectors, 2, 8192);
    CHECK(result() == 1024);
    aio::write_same(operation, queue, *image, data.data(), 512, 4096, 1024);
    CHECK(result() == 0);
    uint64_t mismatch = 0;
    std::string other(512, 'o');
    aio::compare_and_write(operation, queue, *image, other.data(), other.data(), 0, 512, &mismatch);
    CHECK(result() == -EILSEQ);
    aio::write_zeroes(operation, queue, *image, 0, 4096, 0);
    CHECK(result() == 0);
    aio::discard(operation, queue, *image, 0, 8192);
    CHECK(result() == 0);
    aio::flush(operation, queue, *image);
    CHECK(result() == 0);
    CHECK(read(0, 4096) == std::string(4096, '\0'));
}

TEST_CASE_FIXTURE(Place, "an image opens and closes without waiting") {
    auto queue = std::make_shared<engine::Queue>();
    rbdxx::OpenOptions options;
    options.name = name;
    rbdxx::abi::rbd_image_t raw = nullptr;
    engine::Operation operation;
    aio::open(operation, queue, *ioctx, options, &raw);
    collect(*queue, 1);
    REQUIRE(operation.result() == 0);
    rbdxx::Image opened = rbdxx::Image::adopt(cluster.state(), raw, options);
    CHECK(opened.size() == size);
    aio::close(operation, queue, opened);
    collect(*queue, 1);
    CHECK(operation.result() == 0);
    CHECK_THROWS_AS(opened.size(), rbdxx::ClosedError);
}

TEST_CASE_FIXTURE(Place, "an image can be closed during I/O of many threads") {
    for (int round = 0; round < 5; ++round) {
        rbdxx::Image other = open();
        auto queue = std::make_shared<engine::Queue>();
        std::deque<engine::Operation> operations(300);
        std::vector<char> data(operations.size());
        std::atomic<std::size_t> submitted{0};
        std::vector<std::thread> threads;
        for (std::size_t first = 0; first < 300; first += 100) {
            threads.emplace_back([&, first] {
                try {
                    for (std::size_t i = first; i < first + 100; ++i) {
                        operations[i].leave_early();
                        aio::write(operations[i], queue, other, &data[i], i, 1);
                        ++submitted;
                    }
                } catch (const rbdxx::ClosedError&) {
                }
            });
        }
        threads.emplace_back([&] { other.close(); });
        for (std::thread& thread : threads) {
            thread.join();
        }
        collect(*queue, submitted);
    }
}

TEST_CASE_FIXTURE(Place, "batches write and read blocks and vectors") {
    namespace batch = rbdxx::batch;
    auto run = [&](const std::shared_ptr<batch::Plan>& plan) { batch::run(*image, plan, 32); };
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < 500; ++i) {
        offsets.push_back((i * 173 % 500) * 4096);
    }
    std::vector<char> data(offsets.size() * 4096);
    for (std::size_t i = 0; i < data.size(); ++i) {
        data[i] = static_cast<char>(i * i / 4096 + i);
    }
    std::vector<char> back(data.size());
    run(batch::Blocks::write(*image, data.data(), offsets, 4096));
    run(batch::Blocks::read(back.data(), offsets, 4096));
    CHECK(back == data);
    CHECK_THROWS_AS(run(batch::Blocks::read(back.data(), {0, size}, 4096)), rbdxx::BatchError);
    std::vector<iovec> vectors;
    for (std::size_t i = 0; i < 2000; ++i) {
        vectors.push_back({back.data() + i * 512, 512});
    }
    run(std::make_shared<batch::Vectors>(*image, vectors, 512));
    CHECK(read(512, 512) == std::string(back.data(), 512));
}

TEST_CASE_FIXTURE(Place, "streams read and write with many operations in flight") {
    namespace pipeline = rbdxx::pipeline;
    constexpr uint64_t piece = 1 << 18;
    std::vector<char> ring(4 * piece);
    {
        pipeline::Writer writer(*image, ring.data(), ring.size(), 4, 4096, true);
        for (uint64_t at = 0; at < size; at += piece) {
            const int64_t start = writer.reserve(piece);
            REQUIRE(start >= 0);
            std::memset(ring.data() + start, static_cast<int>(at / piece % 5), piece);
            writer.write(at, piece);
        }
        CHECK(writer.drain());
    }
    pipeline::Reader reader(*image, ring.data(), ring.size(), 4, piece, 4096, 0);
    reader.push(0, size, true);
    uint64_t at = 0;
    while (!reader.idle()) {
        for (const pipeline::Chunk& chunk : reader.pop()) {
            CHECK(chunk.offset == at);
            char expected = static_cast<char>(at / piece % 5);
            CHECK((chunk.start < 0 ? '\0' : ring[static_cast<std::size_t>(chunk.start)]) ==
                  expected);
            at += chunk.length;
        }
    }
    CHECK(at == size);
}

TEST_CASE_FIXTURE(Place, "a lent image outlives its close") {
    write(0, "lent");
    rbdxx_image_v1* lent = rbdxx::capsule::lend(*image);
    {
        rbdxx::Image borrowed = rbdxx::capsule::borrow(lent);
        image->close();
        CHECK(read(borrowed, 0, 4) == "lent");
    }
    CHECK(lent->acquire(lent) == -EBADF);
    rbdxx::capsule::drop(lent);
}
