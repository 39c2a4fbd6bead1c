#include "place.hpp"

#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>

using rbdxx::ClosedError;

TEST_CASE_FIXTURE(Place, "opened objects close in any order") {
    cluster->shutdown();
    CHECK(cluster->closed());
    ioctx->close();
    CHECK(image->size() == memory::image_size);
    CHECK_THROWS_AS(open(), ClosedError);
    image->close();
    image->close();
    CHECK_THROWS_WITH_AS(image->size(), "image 'vm' is closed", ClosedError);
    CHECK(memory::live().images == before.images);
}

TEST_CASE_FIXTURE(Place, "opening a missing image leaves nothing open") {
    rbdxx::OpenOptions options;
    options.name = "missing";
    options.snapshot = "first";
    try {
        rbdxx::Image::open(*ioctx, options);
        FAIL("nothing was thrown");
    } catch (const rbdxx::Error& error) {
        CHECK(error.code() == ENOENT);
        CHECK(std::string(error.what()) == "error opening image 'missing' at snapshot 'first'");
    }
}

TEST_CASE_FIXTURE(Place, "copies share one image, which closes with the last") {
    std::optional<rbdxx::Image> copy = *image;
    int images = memory::live().images;
    image.reset();
    CHECK(copy->size() == memory::image_size);
    CHECK(memory::live().images == images);
    copy.reset();
    CHECK(memory::live().images == images - 1);
}

TEST_CASE_FIXTURE(Place, "only the lender closes a borrowed image") {
    {
        auto use = image->use();
        auto lender = std::make_shared<int>(0);
        rbdxx::Image borrowed = rbdxx::Image::borrow(use.get(), lender);
        CHECK(lender.use_count() == 2);
        CHECK(borrowed.size() == memory::image_size);
        borrowed.close();
        CHECK(lender.use_count() == 1);
    }
    CHECK(image->size() == memory::image_size);
}

TEST_CASE("I/O in many threads succeeds or is refused when another thread closes") {
    for (int round = 0; round < 50; ++round) {
        Place place;
        std::atomic<int> refused{0};
        in_threads(5, [&](int number) {
            std::vector<char> data = pattern(512, static_cast<uint64_t>(number));
            std::vector<char> back(data.size());
            auto offset = static_cast<uint64_t>(number) * 4096;
            try {
                for (int i = 0; i < 50; ++i) {
                    rbdxx::io::write(*place.image, data.data(), offset, data.size());
                    rbdxx::io::read(*place.image, back.data(), offset, back.size());
                    if (back != data) {
                        throw rbdxx::Error(0, "other data came back");
                    }
                    if (number == 0 && i == 25) {
                        place.image->close();
                    }
                }
            } catch (const ClosedError&) {
                ++refused;
            }
        });
        CHECK(refused > 0);
        CHECK(memory::live().images == place.before.images);
    }
}

TEST_CASE("one thread drops a cluster while others open images through it") {
    for (int round = 0; round < 50; ++round) {
        Place place;
        in_threads(4, [&](int number) {
            try {
                if (number == 0) {
                    place.cluster->shutdown();
                } else if (number == 1) {
                    place.ioctx->close();
                } else {
                    for (int i = 0; i < 10; ++i) {
                        rbdxx::Image image = place.open();
                        image.size();
                    }
                }
            } catch (const ClosedError&) {
            }
        });
    }
}
