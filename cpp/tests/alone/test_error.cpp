#include <doctest/doctest.h>

#include <rbdxx/error.hpp>

namespace {

std::string never() {
    FAIL("a message was made where nothing failed");
    return {};
}

}  // namespace

TEST_CASE("good codes pass through, with their type and without a message") {
    CHECK(rbdxx::check(0, never) == 0);
    CHECK(rbdxx::check(int64_t{1} << 40, never) == int64_t{1} << 40);
}

TEST_CASE("a negative code becomes a positive errno with the message") {
    try {
        rbdxx::check(-ENOENT, [] { return std::string("error opening"); });
        FAIL("nothing was thrown");
    } catch (const rbdxx::Error& error) {
        CHECK(error.code() == ENOENT);
        CHECK(std::string(error.what()) == "error opening");
    }
}

TEST_CASE("the caller chooses the type") {
    auto describe = [] { return std::string("x"); };
    CHECK_THROWS_AS(rbdxx::check<rbdxx::RadosError>(-EPERM, describe), rbdxx::RadosError);
    CHECK_THROWS_AS(rbdxx::check<rbdxx::GroupError>(ssize_t{-EPERM}, describe), rbdxx::GroupError);
}

TEST_CASE("names are quoted") {
    CHECK(rbdxx::quoted(std::string("vm1")) == "'vm1'");
    CHECK(rbdxx::quoted("vm1") == "'vm1'");
    CHECK(rbdxx::quoted(static_cast<const char*>(nullptr)) == "None");
}

TEST_CASE("errors contain what they are about") {
    CHECK(rbdxx::BatchError(5, "x", 7, 4096).index() == 7);
    CHECK(rbdxx::BatchError(5, "x", 7, 4096).offset() == 4096);
    CHECK(rbdxx::CompareMismatch(512, "x").code() == EILSEQ);
    CHECK(rbdxx::MissingFunction("x").code() == ENOSYS);
    CHECK(rbdxx::ClosedError("x", rbdxx::ClosedError::Subject::ioctx).subject() ==
          rbdxx::ClosedError::Subject::ioctx);
}
