// Makes an image, writes into it, takes a snapshot, overwrites, and reads both back.
//
//     downstream CONFFILE POOL IMAGE
#include <rbdxx/rbdxx.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

namespace {

std::string read(const rbdxx::Image& image, std::uint64_t length) {
    std::string data(length, '\0');
    data.resize(rbdxx::io::read(image, data.data(), 0, length));
    return data;
}

void run(const char* conffile, const std::string& pool, const std::string& name) {
    rbdxx::Cluster cluster = rbdxx::Cluster::create("ceph", "client.admin");
    cluster.read_config(conffile);
    cluster.connect();
    rbdxx::IoCtx ioctx = rbdxx::IoCtx::open(cluster, pool);

    const std::string before = "written before the snapshot";
    const std::string after = "written after the snapshot!";
    rbdxx::images::create(ioctx, name, std::uint64_t{8} << 20, rbdxx::ImageOptions{});
    {
        rbdxx::OpenOptions options;
        options.name = name;
        rbdxx::Image image = rbdxx::Image::open(ioctx, options);
        rbdxx::io::write(image, before.data(), 0, before.size());
        rbdxx::snapshot::create(image, "first", 0, {});
        rbdxx::io::write(image, after.data(), 0, after.size());
        std::cout << "size:     " << image.size() << " bytes\n";
        std::cout << "head:     " << read(image, after.size()) << "\n";
        options.snapshot = "first";
        std::cout << "snapshot: " << read(rbdxx::Image::open(ioctx, options), before.size())
                  << "\n";
        rbdxx::snapshot::remove(image, "first");
    }
    rbdxx::images::remove(ioctx, name, {});
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: downstream CONFFILE POOL IMAGE\n";
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
