#include "place.hpp"

#include <rbdxx/io.hpp>
#include <rbdxx/reader.hpp>
#include <rbdxx/writer.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>

namespace pipeline = rbdxx::pipeline;
using pipeline::Chunk;
using pipeline::Reader;
using pipeline::Writer;
using rbdxx::detail::Ring;

namespace {

constexpr uint64_t piece = 64 << 10;
constexpr uint64_t capacity = 8 * piece;
constexpr uint64_t grain = 4096;
constexpr pipeline::Wait long_enough = std::chrono::seconds(10);

// Returns everything that a reader returns, joined. It must come in order.
std::vector<char> drain(Reader& reader, const std::vector<char>& memory, uint64_t begin) {
    std::vector<char> all;
    while (!reader.idle()) {
        for (const Chunk& chunk : reader.pop(long_enough)) {
            CHECK(chunk.offset == begin + all.size());
            if (chunk.start < 0) {
                all.insert(all.end(), chunk.length, '\0');
            } else {
                const char* data = memory.data() + chunk.start;
                all.insert(all.end(), data, data + chunk.length);
            }
        }
    }
    return all;
}

}  // namespace

TEST_CASE("pieces of a ring are contiguous and never overlap") {
    std::minstd_rand random(7);
    Ring ring(1 << 16);
    std::vector<Ring::Piece> given;
    std::vector<uint64_t> lengths;
    std::size_t oldest = 0;
    for (int i = 0; i < 20000; ++i) {
        uint64_t length = 1 + random() % 9000;
        if (auto taken = ring.take(length)) {
            CHECK(taken->start + length <= ring.capacity());
            for (std::size_t j = oldest; j < given.size(); ++j) {
                bool apart = taken->start + length <= given[j].start ||
                             given[j].start + lengths[j] <= taken->start;
                CHECK(apart);
            }
            given.push_back(*taken);
            lengths.push_back(length);
        } else {
            REQUIRE(oldest < given.size());
            ring.give(given[oldest++].cost);
        }
    }
    CHECK_FALSE(ring.take(ring.capacity() + 1).has_value());
}

TEST_CASE_FIXTURE(Place, "a reader returns an image in order, through a smaller ring") {
    std::vector<char> data = pattern(memory::image_size);
    std::fill_n(data.begin() + (1 << 20), 1 << 20, '\0');
    rbdxx::io::write(*image, data.data(), 0, data.size());
    for (uint64_t depth : {1U, 3U, 16U}) {
        std::vector<char> memory(capacity);
        Reader reader(*image, memory.data(), capacity, depth, piece, grain, 0);
        CHECK(reader.push(0, data.size(), true));
        CHECK(drain(reader, memory, 0) == data);
        // Extents that do not exist need no memory.
        CHECK(reader.push(100, 10 << 20, false));
        CHECK(drain(reader, memory, 100) == std::vector<char>(10 << 20, '\0'));
    }
}

TEST_CASE_FIXTURE(Place, "a reader distinguishes zeroes from data") {
    const std::vector<char> data(grain, 'x');
    rbdxx::io::write(*image, data.data(), 2 * grain, data.size());
    std::vector<char> memory(capacity);
    Reader reader(*image, memory.data(), capacity, 4, piece, grain, 0);
    reader.push(0, piece, true);
    std::vector<Chunk> chunks = reader.pop(long_enough);
    REQUIRE(chunks.size() == 3);
    CHECK(chunks[0].start == -1);
    CHECK(chunks[0].length == 2 * grain);
    CHECK(chunks[1].start >= 0);
    CHECK(chunks[1].length == grain);
    CHECK(chunks[2].start == -1);
}

TEST_CASE_FIXTURE(Place, "a reader throws the error of a read, and can still be closed") {
    std::vector<char> memory(capacity);
    memory::spoil(piece, -EIO);
    {
        Reader reader(*image, memory.data(), capacity, 4, piece, grain, 0);
        reader.push(0, 4 * piece, true);
        auto all = [&] {
            while (!reader.idle()) {
                reader.pop(long_enough);
            }
        };
        CHECK_THROWS_WITH_AS(all(), "error reading image 'vm' at 65536~65536", rbdxx::Error);
    }
    memory::refuse(2 * piece, -EBUSY);
    Reader reader(*image, memory.data(), capacity, 1, piece, grain, 0);
    auto both = [&] {
        reader.push(2 * piece, piece, true);
        reader.pop(long_enough);
    };
    CHECK_THROWS_WITH_AS(both(), "error reading image 'vm' at 131072~65536", rbdxx::Error);
}

TEST_CASE_FIXTURE(Place, "a reader that is destroyed early waits for its reads") {
    for (int round = 0; round < 50; ++round) {
        std::vector<char> memory(capacity);
        Reader reader(*image, memory.data(), capacity, 8, piece, grain, 0);
        reader.push(0, memory::image_size, true);
        if (round % 2 == 0) {
            reader.pop(std::chrono::milliseconds(1));
        }
    }
}

TEST_CASE_FIXTURE(Place, "an abandoned pipeline ends with its owner") {
    auto owner = std::make_shared<rbdxx::engine::Queue>();
    for (int round = 0; round < 50; ++round) {
        std::vector<char> memory(capacity);
        auto reader =
            std::make_unique<Reader>(*image, memory.data(), capacity, 8, piece, grain, 0, owner);
        CHECK(reader->wait_for(std::chrono::milliseconds(0)));
        CHECK_FALSE(reader->abandon());
        {
            memory::Hold hold;
            reader->push(0, memory::image_size, true);
            CHECK_FALSE(reader->wait_for(std::chrono::milliseconds(1)));
            REQUIRE(reader->abandon());
        }
        owner->wait();
        CHECK(owner->take() == reader.get());
    }
}

TEST_CASE_FIXTURE(Place, "a read beyond the end of the image returns the existing data") {
    std::vector<char> memory(capacity);
    Reader reader(*image, memory.data(), capacity, 8, piece, grain, 0);
    reader.push(memory::image_size - 100, 200, true);
    uint64_t done = 0;
    uint64_t length = 0;
    while (!reader.idle()) {
        for (const Chunk& chunk : reader.pop(long_enough)) {
            done += chunk.done;
            length += chunk.length;
        }
    }
    CHECK(done == 100);
    CHECK(length == 200);
}

TEST_CASE_FIXTURE(Place, "a writer writes behind, and leaves zeroes out") {
    std::vector<char> data = pattern(memory::image_size, 3);
    std::fill_n(data.begin() + 3 * grain, 5 * grain, '\0');
    for (uint64_t depth : {1U, 5U}) {
        const std::vector<char> held(memory::image_size, 'b');
        rbdxx::io::write(*image, held.data(), 0, held.size());
        std::vector<char> memory(capacity);
        Writer writer(*image, memory.data(), capacity, depth, grain, true);
        for (uint64_t at = 0; at < data.size(); at += piece) {
            const int64_t start = writer.reserve(piece, long_enough);
            REQUIRE(start >= 0);
            std::memcpy(memory.data() + start, data.data() + at, piece);
            writer.write(at, piece);
        }
        CHECK(writer.drain(long_enough));
        CHECK(writer.zero(0, grain, long_enough));
        CHECK(writer.drain(long_enough));
        writer.close();
        std::vector<char> expected = data;
        std::fill_n(expected.begin() + 3 * grain, 5 * grain, 'b');
        std::fill_n(expected.begin(), grain, '\0');
        std::vector<char> back(data.size());
        rbdxx::io::read(*image, back.data(), 0, back.size());
        CHECK(back == expected);
    }
}

TEST_CASE_FIXTURE(Place, "a writer throws the error of a write, and does nothing after it") {
    std::vector<char> memory(capacity, 'x');
    memory::spoil(0, -ENOSPC);
    Writer writer(*image, memory.data(), capacity, 1, 0);
    auto all = [&] {
        for (uint64_t at = 0;; at += piece) {
            if (writer.reserve(piece, long_enough) >= 0) {
                writer.write(at, piece);
            }
        }
    };
    CHECK_THROWS_WITH_AS(all(), "error writing image 'vm' at 0~65536", rbdxx::Error);
    CHECK_THROWS_AS(writer.drain(long_enough), rbdxx::Error);
}

TEST_CASE_FIXTURE(Place, "many threads stream over one image") {
    in_threads(4, [&](int number) {
        const uint64_t share = memory::image_size / 4;
        const uint64_t begin = static_cast<uint64_t>(number) * share;
        const std::vector<char> data = pattern(share, static_cast<uint64_t>(number) + 20);
        std::vector<char> memory(capacity);
        {
            Writer writer(*image, memory.data(), capacity, 4, grain, true);
            for (uint64_t at = 0; at < share; at += piece) {
                int64_t start = -1;
                while (start < 0) {
                    start = writer.reserve(piece, long_enough);
                }
                std::memcpy(memory.data() + start, data.data() + at, piece);
                writer.write(begin + at, piece);
            }
            while (!writer.drain(long_enough)) {
            }
        }
        Reader reader(*image, memory.data(), capacity, 4, piece, grain, 0);
        reader.push(begin, share, true);
        if (drain(reader, memory, begin) != data) {
            throw rbdxx::Error(0, "other data came back");
        }
    });
}
