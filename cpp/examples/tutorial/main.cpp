// Snapshots, asynchronous calls and batches in one program:
//
//     tutorial CONFFILE POOL IMAGE
#include <rbdxx/rbdxx.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr std::uint64_t block = 4096;

// A batch: many blocks in one call, up to 32 of them in flight.
void fill(const rbdxx::Image& image, std::uint64_t count) {
    std::vector<std::uint64_t> offsets(count);
    for (std::uint64_t index = 0; index < count; ++index) {
        offsets[index] = index * block;
    }
    const std::string data(count * block, 'a');
    auto plan = rbdxx::batch::Blocks::write(image, data.data(), offsets, block);
    rbdxx::batch::run(image, plan, 32);
}

// Asynchronous calls: each operation reports to a queue, from which one thread takes it. The
// operations and the data outlive the calls, because librbd's threads use both.
void overwrite(const rbdxx::Image& image) {
    auto queue = std::make_shared<rbdxx::engine::Queue>();
    std::array<rbdxx::engine::Operation, 4> operations;
    const std::string data(block, 'b');
    std::size_t submitted = 0;
    for (auto& operation : operations) {
        rbdxx::aio::write(operation, queue, image, data.data(), submitted++ * 2 * block, block);
    }
    while (submitted > 0) {
        queue->wait();
        for (rbdxx::engine::Item* item = queue->take(); item != nullptr; --submitted) {
            auto& operation = static_cast<rbdxx::engine::Operation&>(*item);
            item = item->next();
            operation.finish();
            rbdxx::check(operation.result(), [] { return "error writing a block"; });
        }
    }
}

std::uint64_t changed(const rbdxx::Image& image, const std::string& snapshot) {
    rbdxx::diff::Request request;
    request.length = image.size();
    request.from_name = snapshot;
    std::uint64_t bytes = 0;
    for (const auto& extent : rbdxx::diff::collect(image, request, false, {})) {
        bytes += extent.length;
    }
    return bytes;
}

void run(const char* conffile, const std::string& pool, const std::string& name) {
    auto cluster = rbdxx::Cluster::create("ceph", "client.admin");
    cluster.read_config(conffile);
    cluster.connect();
    auto ioctx = rbdxx::IoCtx::open(cluster, pool);
    rbdxx::images::create(ioctx, name, 64 * block, rbdxx::ImageOptions{});
    {
        rbdxx::OpenOptions options;
        options.name = name;
        auto image = rbdxx::Image::open(ioctx, options);
        fill(image, 16);
        rbdxx::snapshot::create(image, "filled", 0, {});
        overwrite(image);
        std::cout << changed(image, "filled") << " bytes changed\n";
        rbdxx::snapshot::rollback(image, "filled", {});
        char first = '?';
        rbdxx::io::read(image, &first, 0, 1);
        std::cout << "after the rollback, the first byte is '" << first << "'\n";
        rbdxx::snapshot::remove(image, "filled");
    }
    rbdxx::images::remove(ioctx, name, {});
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: tutorial CONFFILE POOL IMAGE\n";
        return EXIT_FAILURE;
    }
    try {
        run(argv[1], argv[2], argv[3]);
    } catch (const rbdxx::Error& error) {
        std::cerr << error.what() << " (errno " << error.code() << ")\n";
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
