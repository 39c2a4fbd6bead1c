// An image of the librbd in memory, and threads that report what they throw.
#pragma once

#include <doctest/doctest.h>

#include <memory.hpp>
#include <rbdxx/image.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

// A cluster, an ioctx and an image of memory::image_size bytes. Everything that the library has
// made must be gone with it.
struct Place {
    Place() : before(memory::live()) {}
    ~Place() {
        memory::forgive();
        image.reset();
        ioctx.reset();
        cluster.reset();
        memory::Live after = memory::live();
        CHECK(after.clusters == before.clusters);
        CHECK(after.ioctxs == before.ioctxs);
        CHECK(after.images == before.images);
        CHECK(after.completions == before.completions);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    static rbdxx::Cluster connected() {
        rbdxx::Cluster made = rbdxx::Cluster::create("ceph", "client.test");
        made.connect();
        return made;
    }
    rbdxx::Image open() const {
        rbdxx::OpenOptions options;
        options.name = "vm";
        return rbdxx::Image::open(*ioctx, options);
    }

    memory::Live before;
    std::optional<rbdxx::Cluster> cluster = connected();
    std::optional<rbdxx::IoCtx> ioctx = rbdxx::IoCtx::open(*cluster, "rbd");
    std::optional<rbdxx::Image> image = open();
};

// Runs `work(number)` in this many threads at once. Throws what one of them throws.
inline void in_threads(int count, const std::function<void(int)>& work) {
    std::vector<std::thread> threads;
    std::vector<std::exception_ptr> failures(static_cast<std::size_t>(count));
    std::atomic<int> waiting{count};
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            // All begin together.
            --waiting;
            while (waiting.load() > 0) {
                std::this_thread::yield();
            }
            try {
                work(i);
            } catch (...) {
                failures[static_cast<std::size_t>(i)] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const std::exception_ptr& failure : failures) {
        if (failure) {
            std::rethrow_exception(failure);
        }
    }
}

// Returns bytes that identify their place: the 64-bit words of a counter.
inline std::vector<char> pattern(std::size_t size, uint64_t seed = 1) {
    std::vector<char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>((seed * 0x9e3779b97f4a7c15U + (i / 8) * 0x100000001b3U) >>
                                     (8 * (i % 8)));
    }
    return bytes;
}
