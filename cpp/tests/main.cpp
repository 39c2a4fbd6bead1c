// Runs the tests of one topic. Without a cluster, tests that need one say so.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

int main(int argc, char** argv) {
    constexpr int skipped = 77;
    if (std::strstr(argv[0], "cluster_") != nullptr && std::getenv("CEPH_CONF") == nullptr) {
        std::cerr << "CEPH_CONF names no cluster: python -m rbd.testing -- ctest starts one\n";
        return skipped;
    }
    return doctest::Context(argc, argv).run();
}
