#include "place.hpp"

TEST_CASE_FIXTURE(Place, "a client describes its cluster") {
    CHECK(cluster.fsid().size() == 36);
    CHECK(cluster.instance_id() > 0);
    // The monitor learns the used space with some delay.
    CHECK(rbdxx::rados::statistics::of(cluster).kb_used <=
          rbdxx::rados::statistics::of(cluster).kb);
    CHECK(cluster.addresses().find("127.0.0.1") != std::string::npos);
    CHECK(rbdxx::rados_version().major > 0);
    cluster.wait_for_latest_osdmap();
}

TEST_CASE_FIXTURE(Place, "options are set and read, also long ones") {
    const std::string text(1000, 'x');
    cluster.set("host", text);
    CHECK(cluster.get("host") == text);
    CHECK(cluster.get("no_such_option") == std::nullopt);
    CHECK(code_of([&] { cluster.set("no_such_option", "1"); }) == ENOENT);
}

TEST_CASE_FIXTURE(Place, "pools are created and removed") {
    const std::string pool = unique("pool");
    rbdxx::rados::pool::create(cluster, pool);
    CHECK(code_of([&] { rbdxx::rados::pool::create(cluster, pool); }) == EEXIST);
    int64_t id = rbdxx::rados::pool::find(cluster, pool).value();
    CHECK(rbdxx::rados::pool::name_of(cluster, id) == pool);
    CHECK(rbdxx::IoCtx::open(cluster, id).pool_name() == pool);
    CHECK(rbdxx::IoCtx::open(cluster, pool).pool_id() == id);
    rbdxx::rados::pool::remove(cluster, pool);
    CHECK_FALSE(rbdxx::rados::pool::find(cluster, pool));
    CHECK_THROWS_AS(rbdxx::IoCtx::open(cluster, pool), rbdxx::RadosError);
}

TEST_CASE_FIXTURE(Place, "a monitor answers a ping") {
    const auto ask = [this](const std::string& command) {
        return rbdxx::rados::command::send(cluster.connected(), {}, command, "");
    };
    const rbdxx::rados::command::Reply reply = ask(R"({"prefix": "osd stat", "format": "json"})");
    CHECK(reply.result == 0);
    CHECK(reply.output.find("num_osds") != std::string::npos);
    CHECK(ask(R"({"prefix": "nonsense"})").result == -EINVAL);
}

TEST_CASE_FIXTURE(Place, "a client without permission gets an error") {
    rbdxx::Cluster other = rbdxx::Cluster::create("ceph", "client.nobody");
    other.read_config(nullptr);
    other.set("client_mount_timeout", "5");
    CHECK_THROWS_AS(other.connect(), rbdxx::RadosError);
}

TEST_CASE_FIXTURE(Place, "namespaces of a context separate images") {
    const std::string space = unique("space");
    rbdxx::namespaces::create(*ioctx, space);
    CHECK(rbdxx::namespaces::exists(*ioctx, space));
    rbdxx::IoCtx inner = rbdxx::IoCtx::open(cluster, "rbd");
    inner.set_namespace(space);
    CHECK(inner.get_namespace() == space);
    CHECK(rbdxx::images::list(inner).empty());
    rbdxx::images::create(inner, name, size, {});
    CHECK(rbdxx::images::list(inner).size() == 1);
    CHECK(code_of([&] { rbdxx::namespaces::remove(*ioctx, space); }) == EBUSY);
    rbdxx::images::remove(inner, name, {});
    rbdxx::namespaces::remove(*ioctx, space);
    CHECK_FALSE(rbdxx::namespaces::exists(*ioctx, space));
}

TEST_CASE_FIXTURE(Place, "a pool keeps metadata") {
    rbdxx::metadata::set(*ioctx, "key", "value");
    CHECK(rbdxx::metadata::get(*ioctx, "key") == "value");
    rbdxx::metadata::remove(*ioctx, "key");
    CHECK(code_of([&] { rbdxx::metadata::get(*ioctx, "key"); }) == ENOENT);
    CHECK(rbdxx::pool::statistics(*ioctx).images >= 1);
}
