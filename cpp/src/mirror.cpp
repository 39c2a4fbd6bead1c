#include <rbdxx/error.hpp>
#include <rbdxx/mirror.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::mirror {

namespace {

std::string read_site_name(const abi::Functions& functions, abi::rados_t cluster) {
    return sized_string(
        [&](char* text, std::size_t* size) {
            return functions.rbd_mirror_site_name_get(cluster, text, size);
        },
        [] { return std::string("error getting the mirror site name"); });
}

void write_site_name(const abi::Functions& functions, abi::rados_t cluster,
                     const std::string& name) {
    check(functions.rbd_mirror_site_name_set(cluster, name.c_str()),
          [&] { return "error setting the mirror site name to " + quoted(name); });
}

}  // namespace

std::string site_name(const Cluster& cluster) {
    auto use = cluster.use();
    return read_site_name(use.functions(), use.get());
}

std::string site_name(abi::rados_t cluster) {
    return read_site_name(functions(), cluster);
}

void set_site_name(const Cluster& cluster, const std::string& name) {
    auto use = cluster.use();
    write_site_name(use.functions(), use.get(), name);
}

void set_site_name(abi::rados_t cluster, const std::string& name) {
    write_site_name(functions(), cluster, name);
}

int mode(const IoCtx& ioctx) {
    auto use = ioctx.use();
    abi::rbd_mirror_mode_t mode{};
    check(use->rbd_mirror_mode_get(use.get(), &mode),
          [&] { return "error getting the mirror mode" + ioctx.place(); });
    return static_cast<int>(mode);
}

void set_mode(const IoCtx& ioctx, int mode) {
    auto use = ioctx.use();
    check(use->rbd_mirror_mode_set(use.get(), static_cast<abi::rbd_mirror_mode_t>(mode)), [&] {
        return "error setting the mirror mode to " + std::to_string(mode) + ioctx.place();
    });
}

std::string uuid(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_mirror_uuid_get(use.get(), text, size);
        },
        [&] { return "error getting the mirror uuid" + ioctx.place(); });
}

std::string remote_namespace(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return use->rbd_mirror_remote_namespace_get(use.get(), text, size);
        },
        [&] { return "error getting the remote namespace" + ioctx.place(); });
}

void set_remote_namespace(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    check(use->rbd_mirror_remote_namespace_set(use.get(), name.c_str()),
          [&] { return "error setting the remote namespace to " + quoted(name) + ioctx.place(); });
}

}  // namespace rbdxx::mirror
