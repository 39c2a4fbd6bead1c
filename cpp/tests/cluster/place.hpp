// A pool of a real cluster, the one that CEPH_CONF names, and a new image in it.
#pragma once

#include <doctest/doctest.h>

#include <rbdxx/rbdxx.hpp>

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

// Everything in it is removed before the next test.
struct Place {
    static constexpr uint64_t size = uint64_t{8} << 20;

    Place() {
        cluster.read_config(nullptr);
        cluster.connect();
        ioctx = rbdxx::IoCtx::open(cluster, "rbd");
        rbdxx::images::create(*ioctx, name, size, {});
        image = open();
    }
    ~Place() {
        image.reset();
        for (const rbdxx::snapshot::Snapshot& one : snapshots()) {
            rbdxx::snapshot::remove(open(), one.name);
        }
        rbdxx::images::remove(*ioctx, name, {});
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    rbdxx::Image open(const std::string& which, const char* snapshot = nullptr) const {
        rbdxx::OpenOptions options;
        options.name = which;
        if (snapshot != nullptr) {
            options.snapshot = snapshot;
        }
        return rbdxx::Image::open(*ioctx, options);
    }
    rbdxx::Image open(const char* snapshot = nullptr) const { return open(name, snapshot); }
    std::vector<rbdxx::snapshot::Snapshot> snapshots() const {
        return rbdxx::snapshot::list(open());
    }
    std::string read(uint64_t offset, uint64_t length) const {
        return read(*image, offset, length);
    }
    static std::string read(const rbdxx::Image& from, uint64_t offset, uint64_t length) {
        std::string data(length, '?');
        data.resize(rbdxx::io::read(from, data.data(), offset, length));
        return data;
    }
    void write(uint64_t offset, const std::string& data) const {
        rbdxx::io::write(*image, data.data(), offset, data.size());
    }

    // Returns a name that no other test and no other run has.
    static std::string unique(const char* what) {
        static int count = 0;
        return std::string(what) + "-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    }

    std::string name = unique("image");
    rbdxx::Cluster cluster = rbdxx::Cluster::create("ceph", "client.admin");
    std::optional<rbdxx::IoCtx> ioctx;
    std::optional<rbdxx::Image> image;
};

// Returns the errno that a call fails with, or 0 if it does not fail.
template <class Call>
int code_of(const Call& call) {
    try {
        call();
    } catch (const rbdxx::Error& error) {
        return error.code();
    }
    return 0;
}
