#include "place.hpp"

TEST_CASE_FIXTURE(Place, "an image describes itself") {
    rbdxx::ImageInfo info = image->info();
    CHECK(info.size == size);
    CHECK(info.obj_size == uint64_t{1} << info.order);
    CHECK(info.num_objs * info.obj_size == size);
    CHECK(image->name() == name);
    CHECK(image->block_name_prefix() == info.block_name_prefix);
    CHECK(image->block_name_prefix() == "rbd_data." + image->id());
    CHECK(image->stripe_unit() == info.obj_size);
    CHECK(image->stripe_count() == 1);
    CHECK(image->create_timestamp().tv_sec > 1500000000);
    CHECK_FALSE(image->old_format());
    CHECK((image->features() & rbdxx::constants::FEATURE_LAYERING) != 0);
    CHECK(rbdxx::features::from_string(rbdxx::features::to_string(image->features())) ==
          image->features());
}

TEST_CASE_FIXTURE(Place, "images are listed, renamed and removed") {
    const std::string other = unique("other");
    CHECK(code_of([&] { rbdxx::images::create(*ioctx, name, size, {}); }) == EEXIST);
    CHECK(code_of([&] { open(other); }) == ENOENT);
    image.reset();
    rbdxx::images::rename(*ioctx, name, other);
    bool found = false;
    for (const rbdxx::images::Entry& entry : rbdxx::images::list(*ioctx)) {
        found = found || entry.name == other;
    }
    CHECK(found);
    rbdxx::images::rename(*ioctx, other, name);
    CHECK(code_of([&] { rbdxx::images::remove(*ioctx, other, {}); }) == ENOENT);
}

TEST_CASE_FIXTURE(Place, "options are honoured by new images") {
    const std::string other = unique("other");
    rbdxx::ImageOptions options;
    options.order = 20;
    options.stripe_unit = 65536;
    options.stripe_count = 4;
    options.features = rbdxx::constants::FEATURE_LAYERING | rbdxx::constants::FEATURE_STRIPINGV2;
    rbdxx::images::create(*ioctx, other, size, options);
    {
        rbdxx::Image made = open(other);
        CHECK(made.info().order == 20);
        CHECK(made.stripe_unit() == 65536);
        CHECK(made.stripe_count() == 4);
        CHECK(made.features() == *options.features);
    }
    rbdxx::images::remove(*ioctx, other, {});
}

TEST_CASE_FIXTURE(Place, "resizing reports progress, and shrinks only when allowed to") {
    image->resize(2 * size, true, {});
    CHECK(image->size() == 2 * size);
    CHECK_THROWS_AS(image->resize(size, false, {}), rbdxx::ArgumentError);
    int calls = 0;
    image->resize(size, true, [&](uint64_t done, uint64_t total) {
        CHECK(done <= total);
        ++calls;
        return 0;
    });
    CHECK(calls > 0);
    image->resize(2 * size, true, {});
    CHECK(code_of([&] {
              image->resize(size, true, [](uint64_t, uint64_t) { return -ECANCELED; });
          }) == ECANCELED);
}

TEST_CASE_FIXTURE(Place, "objects close in every order") {
    {
        rbdxx::Image other = open();
        cluster.shutdown();
        ioctx->close();
        CHECK(other.size() == size);
        other.close();
        CHECK_THROWS_AS(other.size(), rbdxx::ClosedError);
    }
    cluster = rbdxx::Cluster::create("ceph", "client.admin");
    cluster.read_config(nullptr);
    cluster.connect();
    ioctx = rbdxx::IoCtx::open(cluster, "rbd");
}

TEST_CASE_FIXTURE(Place, "an image keeps metadata and options") {
    rbdxx::metadata::set(*image, "key", std::string(3000, 'v'));
    rbdxx::metadata::set(*image, "other", "");
    CHECK(rbdxx::metadata::list(*image).size() == 2);
    CHECK(rbdxx::metadata::get(*image, "key").size() == 3000);
    rbdxx::metadata::remove(*image, "key");
    CHECK(code_of([&] { rbdxx::metadata::get(*image, "key"); }) == ENOENT);
    rbdxx::metadata::set(*image, rbdxx::config::metadata_key("rbd_cache"), "false");
    bool found = false;
    for (const rbdxx::config::Option& option : rbdxx::config::list(*image)) {
        found = found || option.name == "rbd_cache";
    }
    CHECK(found);
}

TEST_CASE_FIXTURE(Place, "locks are taken, listed and released") {
    namespace lock = rbdxx::lock;
    CHECK(lock::list(*image).lockers.empty());
    lock::exclusive(*image, "cookie");
    lock::Lockers lockers = lock::list(*image);
    REQUIRE(lockers.lockers.size() == 1);
    CHECK(lockers.exclusive);
    CHECK(lockers.lockers[0].cookie == "cookie");
    rbdxx::Image other = open();
    CHECK(code_of([&] { lock::exclusive(other, "another"); }) == EBUSY);
    lock::unlock(*image, "cookie");
    lock::shared(*image, "one", "tag");
    CHECK(lock::list(*image).tag == "tag");
    lock::unlock(*image, "one");
    CHECK(lock::list(*image).lockers.empty());
    lock::acquire(*image, 0);
    CHECK(lock::is_owner(*image));
    CHECK(lock::owners(*image).names.size() == 1);
    lock::release(*image);
    CHECK_FALSE(lock::is_owner(*image));
    CHECK(rbdxx::watch::list(*image).size() == 2);
}
