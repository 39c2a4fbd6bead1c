#include <doctest/doctest.h>

#include <rbdxx/sized.hpp>

#include <cstring>

namespace {

std::string what() {
    return "error listing";
}

}  // namespace

TEST_CASE("the loop asks again with the size that it was told") {
    std::vector<std::size_t> asked;
    int answer = rbdxx::until_sized(std::size_t{4}, [&](std::size_t& size) {
        asked.push_back(size);
        if (size < 100) {
            size = 100;
            return -ERANGE;
        }
        return 7;
    });
    CHECK(answer == 7);
    CHECK(asked == std::vector<std::size_t>{4, 100});
}

TEST_CASE("an unchanged size is doubled, and 0 becomes 1") {
    std::vector<int> asked;
    rbdxx::until_sized(0, [&](int& size) {
        asked.push_back(size);
        return size < 200 ? -ERANGE : 0;
    });
    CHECK(asked == std::vector<int>{0, 64, 128, 256});
}

TEST_CASE("a library that never has enough room ends with an error") {
    int calls = 0;
    auto hungry = [&](std::size_t& size) {
        ++calls;
        ++size;
        return -ERANGE;
    };
    CHECK(rbdxx::until_sized(std::size_t{1}, hungry) == -ERANGE);
    CHECK(calls <= rbdxx::sized_attempts + 1);
    auto huge = [](std::size_t& size) {
        size = ~std::size_t{0};
        return -ERANGE;
    };
    CHECK_THROWS_AS(
        rbdxx::sized_string([&](char*, std::size_t* size) { return huge(*size); }, what),
        rbdxx::Error);
}

TEST_CASE("a string ends at its NUL") {
    std::string text = rbdxx::sized_string(
        [](char* buffer, std::size_t* size) {
            if (*size < 300) {
                *size = 300;
                return -ERANGE;
            }
            std::memset(buffer, 'x', 280);
            buffer[280] = '\0';
            return 0;
        },
        what);
    CHECK(text == std::string(280, 'x'));
}

TEST_CASE("records are as many as the library says, and no more than there is room for") {
    auto listed = rbdxx::sized_records<int>(
        [](int* array, std::size_t* count) {
            if (*count < 40) {
                *count = 40;
                return -ERANGE;
            }
            for (int i = 0; i < 35; ++i) {
                array[i] = i;
            }
            *count = 35;
            return 0;
        },
        what);
    CHECK(listed.size() == 35);
    CHECK(listed.back() == 34);
    auto lies = [](int*, std::size_t* count) {
        *count = 1000;
        return 0;
    };
    CHECK_THROWS_AS(rbdxx::sized_records<int>(lies, what), rbdxx::LogicFault);
}

TEST_CASE("names are split, even if the last one lacks its NUL") {
    using Names = std::vector<std::string>;
    CHECK(rbdxx::split_names(std::string("a\0bc\0", 5), 5) == Names{"a", "bc"});
    CHECK(rbdxx::split_names(std::string("a\0bc", 4), 4) == Names{"a", "bc"});
    CHECK(rbdxx::split_names("", 0) == Names{});
}

TEST_CASE("pairs are joined, empty values too, whatever lengths were claimed") {
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    const std::string keys("a\0b\0", 4);
    const std::string values("\0y\0", 3);
    CHECK(rbdxx::join_pairs(keys, 4, values, 3) == Pairs{{"a", ""}, {"b", "y"}});
    CHECK(rbdxx::join_pairs(keys, 4000, values, 4000) == Pairs{{"a", ""}, {"b", "y"}});
    CHECK(rbdxx::join_pairs(keys, 4, values, 0).empty());
}

namespace {

int freed = 0;
void free_records(int* /*array*/, std::size_t count) {
    freed += static_cast<int>(count);
}

struct Cleanup : rbdxx::abi::Functions {
    Cleanup() {
        fill([](const std::string& name) {
            return name == "rbd_watchers_list_cleanup" ? reinterpret_cast<void*>(clean) : nullptr;
        });
    }
    static void clean(rbdxx::abi::rbd_image_watcher_t* /*array*/, std::size_t count) {
        free_records(nullptr, count);
    }
};

}  // namespace

TEST_CASE("records are cleaned up once, on every path") {
    using Watcher = rbdxx::abi::rbd_image_watcher_t;
    Cleanup functions;
    freed = 0;
    try {
        rbdxx::Records<Watcher> records(std::vector<Watcher>(3),
                                        functions.rbd_watchers_list_cleanup);
        CHECK(records.size() == 3);
        throw rbdxx::Error(1, "on the way");
    } catch (const rbdxx::Error&) {
        CHECK(freed == 3);
    }
    { rbdxx::Records<Watcher> none({}, functions.rbd_watchers_list_cleanup); }
    CHECK(freed == 3);
}
