#include <rbdxx/rados/snapshot.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/rados/constants.hpp>
#include <rbdxx/sized.hpp>

#include <algorithm>
#include <functional>

namespace rbdxx::rados::snapshot {

namespace {

std::string in_pool(const std::string& name, const Use<IoCtxState>& call) {
    return "snapshot " + quoted(name) + " of " + call.state().place();
}

std::string in_pool(uint64_t id, const Use<IoCtxState>& call) {
    return "snapshot " + std::to_string(id) + " of " + call.state().place();
}

}  // namespace

void create(const IoCtx& ioctx, const std::string& name) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_ioctx_snap_create(call.get(), name.c_str()),
                      [&] { return "error creating " + in_pool(name, call); });
}

void remove(const IoCtx& ioctx, const std::string& name) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_ioctx_snap_remove(call.get(), name.c_str()),
                      [&] { return "error removing " + in_pool(name, call); });
}

std::vector<uint64_t> list(const IoCtx& ioctx) {
    auto call = ioctx.connected();
    return sized_records<uint64_t, RadosError, int>(
        [&](uint64_t* ids, int* count) {
            const int result = call->rados_ioctx_snap_list(call.get(), ids, *count);
            if (result >= 0) {
                *count = result;
            }
            return result;
        },
        [&] { return "error listing the snapshots of " + call.state().place(); });
}

uint64_t find(const IoCtx& ioctx, const std::string& name) {
    auto call = ioctx.connected();
    uint64_t id = 0;
    check<RadosError>(call->rados_ioctx_snap_lookup(call.get(), name.c_str(), &id),
                      [&] { return "error looking up " + in_pool(name, call); });
    return id;
}

std::string name_of(const IoCtx& ioctx, uint64_t id) {
    auto call = ioctx.connected();
    std::string name;
    check<RadosError>(until_sized(256,
                                  [&](int& size) {
                                      name.assign(static_cast<std::size_t>(size), '\0');
                                      return call->rados_ioctx_snap_get_name(call.get(), id,
                                                                             name.data(), size);
                                  }),
                      [&] { return "error getting the name of " + in_pool(id, call); });
    name.resize(std::char_traits<char>::length(name.c_str()));
    return name;
}

std::time_t time_of(const IoCtx& ioctx, uint64_t id) {
    auto call = ioctx.connected();
    std::time_t made = 0;
    check<RadosError>(call->rados_ioctx_snap_get_stamp(call.get(), id, &made),
                      [&] { return "error getting the time of " + in_pool(id, call); });
    return made;
}

void rollback(const IoCtx& ioctx, const std::string& object, const std::string& name) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_ioctx_snap_rollback(call.get(), object.c_str(), name.c_str()),
                      [&] {
                          return "error rolling " + call.state().object(object) +
                                 " back to snapshot " + quoted(name);
                      });
}

void set_read(const IoCtx& ioctx, uint64_t id) {
    ioctx.set_read_snapshot(id == constants::SNAP_HEAD ? std::nullopt : std::optional(id));
}

uint64_t create_id(const IoCtx& ioctx) {
    auto call = ioctx.connected();
    uint64_t id = 0;
    check<RadosError>(call->rados_ioctx_selfmanaged_snap_create(call.get(), &id), [&] {
        return "error creating a self-managed snapshot of " + call.state().place();
    });
    return id;
}

void remove_id(const IoCtx& ioctx, uint64_t id) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_ioctx_selfmanaged_snap_remove(call.get(), id),
                      [&] { return "error removing self-managed " + in_pool(id, call); });
}

void rollback_id(const IoCtx& ioctx, const std::string& object, uint64_t id) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_ioctx_selfmanaged_snap_rollback(call.get(), object.c_str(), id),
                      [&] {
                          return "error rolling " + call.state().object(object) +
                                 " back to self-managed snapshot " + std::to_string(id);
                      });
}

void set_write(const IoCtx& ioctx, std::vector<uint64_t> ids) {
    std::sort(ids.begin(), ids.end(), std::greater<>());
    ioctx.set_write_snapshots(std::move(ids));
}

}  // namespace rbdxx::rados::snapshot
