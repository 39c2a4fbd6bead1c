#include "place.hpp"

namespace snapshot = rbdxx::snapshot;

TEST_CASE_FIXTURE(Place, "a snapshot keeps the old data") {
    write(0, "before");
    snapshot::create(*image, "first", 0, {});
    write(0, "after!");
    CHECK(read(open("first"), 0, 6) == "before");
    CHECK(snapshot::exists(*image, "first"));
    CHECK_FALSE(snapshot::exists(*image, "second"));
    CHECK(code_of([&] { snapshot::create(*image, "first", 0, {}); }) == EEXIST);
    std::vector<snapshot::Snapshot> all = snapshot::list(*image);
    REQUIRE(all.size() == 1);
    CHECK(all[0].name == "first");
    CHECK(all[0].size == size);
    CHECK(snapshot::id(*image, "first") == all[0].id);
    CHECK(snapshot::name(*image, all[0].id) == "first");
    snapshot::set(*image, "first");
    CHECK(read(0, 6) == "before");
    CHECK(code_of([&] { write(0, "x"); }) == EROFS);
    snapshot::set(*image, std::nullopt);
    snapshot::rollback(*image, "first", {});
    CHECK(read(0, 6) == "before");
    snapshot::rename(*image, "first", "renamed");
    snapshot::remove(*image, "renamed");
    CHECK(code_of([&] { snapshot::remove(*image, "renamed"); }) == ENOENT);
}

TEST_CASE_FIXTURE(Place, "many snapshots are listed") {
    for (int i = 0; i < 40; ++i) {
        snapshot::create(*image, "snap" + std::to_string(i), 0, {});
    }
    CHECK(snapshot::list(*image).size() == 40);
    snapshot::set_limit(*image, 40);
    CHECK(snapshot::limit(*image) == 40);
    CHECK(code_of([&] { snapshot::create(*image, "more", 0, {}); }) == EDQUOT);
}

TEST_CASE_FIXTURE(Place, "a clone reads its parent until it is flattened") {
    const std::string clone = unique("clone");
    write(0, "parent");
    snapshot::create(*image, "base", 0, {});
    snapshot::protect(*image, "base");
    CHECK(snapshot::is_protected(*image, "base"));
    rbdxx::clone::create(*ioctx, name, "base", *ioctx, clone, {});
    {
        rbdxx::Image child = open(clone);
        CHECK(read(child, 0, 6) == "parent");
        CHECK(child.overlap() == size);
        CHECK(rbdxx::parent::get(child).image_name == name);
        CHECK(rbdxx::parent::get(child).snapshot_name == "base");
        REQUIRE(rbdxx::children::list(*image).size() == 1);
        CHECK(rbdxx::children::list(*image)[0].image_name == clone);
        CHECK(code_of([&] { snapshot::unprotect(*image, "base"); }) == EBUSY);
        child.flatten({});
        CHECK(read(child, 0, 6) == "parent");
        CHECK(code_of([&] { rbdxx::parent::get(child); }) == ENOENT);
    }
    snapshot::unprotect(*image, "base");
    rbdxx::images::remove(*ioctx, clone, {});
}

TEST_CASE_FIXTURE(Place, "copies have the data, and deep copies the snapshots too") {
    write(0, "data");
    snapshot::create(*image, "first", 0, {});
    const std::string flat = unique("flat");
    const std::string deep = unique("deep");
    rbdxx::copy::create(*image, *ioctx, flat, {}, 0, {});
    rbdxx::copy::deep(*image, *ioctx, deep, {}, {});
    CHECK(read(open(flat), 0, 4) == "data");
    CHECK(snapshot::list(open(flat)).empty());
    CHECK(read(open(deep, "first"), 0, 4) == "data");
    snapshot::remove(open(deep), "first");
    rbdxx::images::remove(*ioctx, flat, {});
    rbdxx::images::remove(*ioctx, deep, {});
}

TEST_CASE_FIXTURE(Place, "an image is restored from the trash") {
    const std::string id = image->id();
    image.reset();
    rbdxx::trash::move(*ioctx, name, 3600);
    CHECK(code_of([&] { open(); }) == ENOENT);
    CHECK(rbdxx::trash::get(*ioctx, id).name == name);
    CHECK(code_of([&] { rbdxx::trash::remove(*ioctx, id, false, {}); }) == EPERM);
    rbdxx::trash::restore(*ioctx, id, name);
    CHECK(open().id() == id);
}

TEST_CASE_FIXTURE(Place, "a group has members, and snapshots of all of them") {
    const std::string label = unique("group");
    rbdxx::group::create(*ioctx, label);
    rbdxx::group::Group group{*ioctx, label};
    CHECK_THROWS_AS(rbdxx::group::create(*ioctx, label), rbdxx::GroupError);
    rbdxx::group::add_image(group, *ioctx, name);
    REQUIRE(rbdxx::group::images(group).size() == 1);
    CHECK(rbdxx::group::images(group)[0].name == name);
    CHECK(rbdxx::group::of_image(*image).name == label);
    rbdxx::group::create_snapshot(group, "all", 0);
    CHECK(rbdxx::group::snapshots(group).size() == 1);
    rbdxx::group::remove_snapshot(group, "all");
    rbdxx::group::remove_image(group, *ioctx, name);
    rbdxx::group::remove(*ioctx, label);
    CHECK_THROWS_AS(rbdxx::group::images(group), rbdxx::GroupError);
}
