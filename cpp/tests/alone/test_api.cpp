// The order of these tests matters: a loaded library stays loaded.
#include <doctest/doctest.h>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/rados/cluster.hpp>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

TEST_CASE("a missing library is named, and loaded at a later attempt") {
    const char* given = std::getenv("RBD_LIBRARY");
    const std::string there = given != nullptr ? given : "";
    REQUIRE_FALSE(there.empty());
    ::setenv("RBD_LIBRARY", "/nonexistent/librbd.so.1", 1);
    for (int round = 0; round < 2; ++round) {
        try {
            rbdxx::functions();
            FAIL("nothing was thrown");
        } catch (const rbdxx::LibraryNotFound& error) {
            const std::string message = error.what();
            CHECK(message.find("/nonexistent/librbd.so.1") != std::string::npos);
            CHECK(message.find("RBD_LIBRARY") != std::string::npos);
            CHECK(message.find("librbd1") != std::string::npos);
        }
    }
    CHECK_THROWS_AS(rbdxx::Cluster::create("ceph", "client.test"), rbdxx::LibraryNotFound);

    // A library that is not Ceph's.
    ::setenv("RBD_LIBRARY", "libc.so.6", 1);
    ::setenv("RADOS_LIBRARY", "libc.so.6", 1);
    CHECK_THROWS_AS(rbdxx::functions(), rbdxx::LibraryNotFound);
    ::unsetenv("RADOS_LIBRARY");

    ::setenv("RBD_LIBRARY", there.c_str(), 1);
    std::vector<const rbdxx::abi::Functions*> found(4);
    std::vector<std::thread> threads;
    threads.reserve(found.size());
    for (auto& one : found) {
        threads.emplace_back([&one] { one = &rbdxx::functions(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const auto* one : found) {
        CHECK(one == &rbdxx::functions());
    }
}

TEST_CASE("missing functions are listed, and calling one is a separate error") {
    const rbdxx::LibraryInfo& info = rbdxx::library_info();
    CHECK(info.path.find("librbdxx_memory.so") != std::string::npos);
    CHECK(info.rados_path == info.path);
    CHECK(info.version.major == 1);
    CHECK(rbdxx::supports("rbd_aio_read"));
    CHECK_FALSE(rbdxx::supports("rbd_flatten"));
    CHECK_THROWS_AS(rbdxx::supports("rbd_no_such_thing"), std::out_of_range);
    CHECK(std::find(info.missing.begin(), info.missing.end(), "rbd_flatten") != info.missing.end());
    CHECK(std::find(info.missing.begin(), info.missing.end(), "rbd_aio_read") ==
          info.missing.end());
    try {
        rbdxx::functions().rbd_flatten(nullptr);
        FAIL("nothing was thrown");
    } catch (const rbdxx::MissingFunction& error) {
        CHECK(error.code() == ENOSYS);
        const std::string message = error.what();
        CHECK(message.find("rbd_flatten is not in " + info.path + " (version 1.0.0)") == 0);
    }
}

TEST_CASE("the table names each function once, with the release that brought it") {
    std::vector<std::string> names;
    for (const rbdxx::TableEntry& entry : rbdxx::table()) {
        names.emplace_back(entry.name);
        CHECK(entry.release >= 14);
        CHECK(entry.rados == (names.back().rfind("rados_", 0) == 0));
    }
    CHECK(names.size() > 300);
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}
