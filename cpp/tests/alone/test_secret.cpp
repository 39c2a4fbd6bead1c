// Examines all memory that this program frees, for data that must have been wiped.
#include <doctest/doctest.h>

#include <rbdxx/encryption.hpp>
#include <rbdxx/secret.hpp>

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view marker = "correct horse battery staple, forty bytes";
int left = 0;

void look_and_free(void* memory) noexcept {
    if (memory != nullptr) {
        std::string_view all(static_cast<const char*>(memory), ::malloc_usable_size(memory));
        left += all.find(marker) != std::string_view::npos ? 1 : 0;
    }
    std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
    // The program may read all of it.
    void* memory = std::calloc(1, size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
void operator delete(void* memory) noexcept {
    look_and_free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
    look_and_free(memory);
}

TEST_CASE("the search finds data that is not wiped") {
    left = 0;
    { std::string plain(marker); }
    CHECK(left == 1);
}

TEST_CASE("a secret is wiped when it is destroyed, wherever it has been") {
    left = 0;
    {
        rbdxx::Secret secret(marker.data(), marker.size());
        CHECK(std::string_view(secret.data(), secret.size()) == marker);
        CHECK(secret.data()[secret.size()] == '\0');
        rbdxx::Secret moved = std::move(secret);
        CHECK(moved.size() == marker.size());
        std::vector<rbdxx::encryption::Layer> layers;
        layers.push_back({1, std::move(moved)});
        layers.push_back({1, rbdxx::Secret(marker.data(), marker.size())});
    }
    CHECK(left == 0);
}

TEST_CASE("a secret may be empty") {
    rbdxx::Secret empty("", 0);
    CHECK(empty.size() == 0);
    CHECK(empty.data()[0] == '\0');
}

TEST_CASE("wiping leaves nothing") {
    std::string text(marker);
    rbdxx::Secret::wipe(text.data(), text.size());
    CHECK(text == std::string(marker.size(), '\0'));
}
