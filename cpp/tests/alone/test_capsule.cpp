#include "place.hpp"

#include <rbdxx/capsule.hpp>
#include <rbdxx/io.hpp>

namespace capsule = rbdxx::capsule;

TEST_CASE_FIXTURE(Place, "a borrower reads what the lender wrote, and sees it after the close") {
    const std::vector<char> data = pattern(4096);
    rbdxx::io::write(*image, data.data(), 0, data.size());
    rbdxx_image_v1* lent = capsule::lend(*image);
    CHECK(lent->size == sizeof(rbdxx_image_v1));
    std::optional<rbdxx::Image> borrowed = capsule::borrow(lent);
    capsule::drop(lent);
    image->close();
    CHECK_THROWS_AS(image->size(), rbdxx::ClosedError);
    std::vector<char> back(data.size());
    rbdxx::io::read(*borrowed, back.data(), 0, back.size());
    CHECK(back == data);
    int images = memory::live().images;
    borrowed.reset();
    CHECK(memory::live().images == images - 1);
}

TEST_CASE_FIXTURE(Place, "a closed image cannot be borrowed, nor lent") {
    rbdxx_image_v1* lent = capsule::lend(*image);
    image->close();
    CHECK(lent->acquire(lent) == -EBADF);
    CHECK_THROWS_AS(capsule::borrow(lent), rbdxx::ClosedError);
    CHECK_THROWS_AS(capsule::lend(*image), rbdxx::ClosedError);
    capsule::drop(lent);
}

TEST_CASE_FIXTURE(Place, "functions are found by their names") {
    rbdxx_image_v1* lent = capsule::lend(*image);
    {
        capsule::Share share(lent);
        auto* size = share.function<int(void*, uint64_t*)>("rbd_get_size");
        uint64_t value = 0;
        CHECK(size(share.get(), &value) == 0);
        CHECK(value == memory::image_size);
        CHECK_THROWS_AS(share.function<int(void*)>("rbd_flatten"), rbdxx::MissingFunction);
        capsule::Share moved = std::move(share);
        CHECK(moved.get() != nullptr);
    }
    capsule::drop(lent);
}

TEST_CASE_FIXTURE(Place, "the lender's objects are dropped with the last share") {
    auto kept = std::make_shared<int>(1);
    rbdxx_image_v1* lent = capsule::lend(*image, kept);
    REQUIRE(lent->acquire(lent) == 0);
    capsule::drop(lent);
    CHECK(kept.use_count() == 2);
    lent->release(lent);
    CHECK(kept.use_count() == 1);
}

TEST_CASE("borrowers come and go in many threads while the lender closes") {
    for (int round = 0; round < 100; ++round) {
        Place place;
        rbdxx_image_v1* lent = capsule::lend(*place.image);
        in_threads(4, [&](int number) {
            if (number == 0) {
                place.image->close();
                return;
            }
            for (int i = 0; i < 20; ++i) {
                if (lent->acquire(lent) == 0) {
                    uint64_t size = 0;
                    rbdxx::functions().rbd_get_size(lent->image, &size);
                    lent->release(lent);
                }
            }
        });
        capsule::drop(lent);
    }
}
