#include <rbdxx/rados/xattr.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/rados/object.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::rados::xattr {

namespace {

std::string attribute(const std::string& name, const Use<IoCtxState>& call,
                      const std::string& object) {
    return "attribute " + quoted(name) + " of " + call.state().object(object);
}

}  // namespace

std::string get(const IoCtx& ioctx, const std::string& object, const std::string& name) {
    auto call = ioctx.connected();
    std::string value;
    const int length = check<RadosError>(
        until_sized(std::size_t{4096},
                    [&](std::size_t& size) {
                        value.assign(size, '\0');
                        return call->rados_getxattr(call.get(), object.c_str(), name.c_str(),
                                                    value.data(), value.size());
                    }),
        [&] { return "error getting " + attribute(name, call, object); });
    value.resize(static_cast<std::size_t>(length));
    return value;
}

std::vector<std::pair<std::string, std::string>> list(const IoCtx& ioctx,
                                                      const std::string& object) {
    auto call = ioctx.connected();
    auto describe = [&] {
        return "error listing the attributes of " + call.state().object(object);
    };
    abi::rados_xattrs_iter_t iterator = nullptr;
    check<RadosError>(call->rados_getxattrs(call.get(), object.c_str(), &iterator), describe);
    auto end = [&](void* raw) { call->rados_getxattrs_end(raw); };
    std::unique_ptr<void, decltype(end)> held(iterator, end);
    std::vector<std::pair<std::string, std::string>> found;
    for (;;) {
        const char* name = nullptr;
        const char* value = nullptr;
        std::size_t size = 0;
        check<RadosError>(call->rados_getxattrs_next(iterator, &name, &value, &size), describe);
        if (name == nullptr) {
            return found;
        }
        found.emplace_back(name, std::string(value != nullptr ? value : "", size));
    }
}

void set(const IoCtx& ioctx, const std::string& object, const std::string& name, const char* value,
         std::size_t size) {
    auto call = ioctx.connected();
    rados::object::require_size(call, size, "setting an attribute of", object);
    check<RadosError>(call->rados_setxattr(call.get(), object.c_str(), name.c_str(), value, size),
                      [&] { return "error setting " + attribute(name, call, object); });
}

void remove(const IoCtx& ioctx, const std::string& object, const std::string& name) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_rmxattr(call.get(), object.c_str(), name.c_str()),
                      [&] { return "error removing " + attribute(name, call, object); });
}

}  // namespace rbdxx::rados::xattr
