#include "place.hpp"

#include <cstring>

TEST_CASE_FIXTURE(Place, "written data is read back, short at the end of the image") {
    const std::string data(1 << 20, 'd');
    write(12345, data);
    CHECK(read(12345, data.size()) == data);
    CHECK(read(12345 + data.size(), 10) == std::string(10, '\0'));
    CHECK(read(size - 5, 100).size() == 5);
    CHECK(rbdxx::io::clip(*image, size - 5, 100) == 5);
    CHECK(rbdxx::io::clip(*image, size, 100) == 0);
}

TEST_CASE_FIXTURE(Place, "writes across the end are incomplete, beyond it invalid") {
    CHECK_THROWS_AS(write(size - 5, "0123456789"), rbdxx::IncompleteWrite);
    CHECK(read(size - 5, 5) == "01234");
    CHECK(code_of([&] { write(size, "x"); }) == EINVAL);
}

TEST_CASE_FIXTURE(Place, "discarded and zeroed ranges read as zeroes") {
    // librbd does not discard pieces of less than 64 KiB.
    constexpr uint64_t part = 65536;
    write(0, std::string(3 * part, 'x'));
    rbdxx::io::discard(*image, 0, part);
    rbdxx::io::write_zeroes(*image, part, part, 0);
    const bool zeroes = read(0, 2 * part) == std::string(2 * part, '\0');
    const bool kept = read(2 * part, part) == std::string(part, 'x');
    CHECK(zeroes);
    CHECK(kept);
}

TEST_CASE_FIXTURE(Place, "write same repeats a pattern") {
    const std::string word = std::string(511, 'w') + "!";
    CHECK(rbdxx::io::write_same(*image, word.data(), word.size(), 1024, 4096) == 4096);
    CHECK(read(1024 + 7 * 512, 512) == word);
    CHECK(read(1024 + 4096, 1) == std::string(1, '\0'));
}

TEST_CASE_FIXTURE(Place, "compare and write reports the place of the difference") {
    const std::string before(512, 'b');
    const std::string after(512, 'a');
    write(0, before);
    CHECK(rbdxx::io::compare_and_write(*image, before.data(), after.data(), 0, 512) == 512);
    CHECK(read(0, 512) == after);
    try {
        rbdxx::io::compare_and_write(*image, before.data(), after.data(), 0, 512);
        FAIL("nothing was thrown");
    } catch (const rbdxx::CompareMismatch& mismatch) {
        CHECK(mismatch.offset() == 0);
    }
}

TEST_CASE_FIXTURE(Place, "differences start and end at snapshots") {
    namespace diff = rbdxx::diff;
    write(0, std::string(4096, 'x'));
    rbdxx::snapshot::create(*image, "first", 0, {});
    write(4 << 20, std::string(4096, 'y'));
    diff::Request request;
    request.length = size;
    diff::Array all = diff::collect(*image, request, true, {});
    CHECK(all.size() == 2);
    request.from_name = "first";
    diff::Array since = diff::collect(*image, request, false, {});
    REQUIRE(since.size() == 1);
    CHECK(since[0].offset == 4 << 20);
    CHECK(since[0].length == 4096);
    CHECK(since[0].exists);
    CHECK(code_of([&] {
              diff::iterate(*image, request, [](const diff::Extent&) { return -EIO; });
          }) == EIO);
    request.from_name = "second";
    CHECK(code_of([&] { diff::collect(*image, request, false, {}); }) == ENOENT);
}
