#include <rbdxx/detail/unsaved.hpp>

#include <doctest/doctest.h>

using rbdxx::detail::Unsaved;

TEST_CASE("a flush saves what was written before it") {
    Unsaved unsaved;
    CHECK(!unsaved.any());
    unsaved.wrote();
    CHECK(unsaved.any());
    unsaved.begin_flush();
    CHECK(unsaved.any());
    unsaved.end_flush(true);
    CHECK(!unsaved.any());
}

TEST_CASE("a flush does not save what is written during it") {
    Unsaved unsaved;
    unsaved.begin_flush();
    unsaved.wrote();
    unsaved.end_flush(true);
    CHECK(unsaved.any());
}

TEST_CASE("a failed flush saves nothing, and a later one does") {
    Unsaved unsaved;
    unsaved.wrote();
    unsaved.begin_flush();
    unsaved.end_flush(false);
    CHECK(unsaved.any());
    unsaved.begin_flush();
    unsaved.end_flush(true);
    CHECK(!unsaved.any());
}

TEST_CASE("a failed flush of nothing leaves nothing unsaved") {
    Unsaved unsaved;
    unsaved.begin_flush();
    unsaved.end_flush(false);
    CHECK(!unsaved.any());
}

TEST_CASE("a flush does not save what a later one failed to save") {
    Unsaved unsaved;
    unsaved.begin_flush();  // the first
    unsaved.wrote();
    unsaved.begin_flush();  // the second
    SUBCASE("which ends before it") {
        unsaved.end_flush(false);
        unsaved.end_flush(true);
    }
    SUBCASE("which ends after it") {
        unsaved.end_flush(true);
        unsaved.end_flush(false);
    }
    CHECK(unsaved.any());
}
