#include <rbdxx/rados/application.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::rados::application {

void enable(const IoCtx& ioctx, const std::string& name, bool force) {
    auto call = ioctx.connected();
    check<RadosError>(call->rados_application_enable(call.get(), name.c_str(), force ? 1 : 0), [&] {
        return "error enabling application " + quoted(name) + " of " + call.state().place();
    });
}

std::vector<std::string> list(const IoCtx& ioctx) {
    auto call = ioctx.connected();
    return sized_names<RadosError>(
        [&](char* names, std::size_t* size) {
            return call->rados_application_list(call.get(), names, size);
        },
        [&] { return "error listing the applications of " + call.state().place(); });
}

std::string get(const IoCtx& ioctx, const std::string& name, const std::string& key) {
    auto call = ioctx.connected();
    auto describe = [&] {
        return "error getting metadata " + quoted(key) + " of application " + quoted(name) +
               " of " + call.state().place();
    };
    bool missing = false;
    std::string found = sized_string<RadosError>(
        [&](char* value, std::size_t* size) {
            const int result = call->rados_application_metadata_get(call.get(), name.c_str(),
                                                                    key.c_str(), value, size);
            missing = result == -ENOENT;
            return missing ? 0 : result;
        },
        describe);
    if (missing) {
        throw RadosKeyError(ENOENT, describe());
    }
    return found;
}

void set(const IoCtx& ioctx, const std::string& name, const std::string& key,
         const std::string& value) {
    auto call = ioctx.connected();
    check<RadosError>(
        call->rados_application_metadata_set(call.get(), name.c_str(), key.c_str(), value.c_str()),
        [&] {
            return "error setting metadata " + quoted(key) + " of application " + quoted(name) +
                   " of " + call.state().place();
        });
}

void remove(const IoCtx& ioctx, const std::string& name, const std::string& key) {
    auto call = ioctx.connected();
    check<RadosError>(
        call->rados_application_metadata_remove(call.get(), name.c_str(), key.c_str()), [&] {
            return "error removing metadata " + quoted(key) + " of application " + quoted(name) +
                   " of " + call.state().place();
        });
}

std::vector<std::pair<std::string, std::string>> metadata(const IoCtx& ioctx,
                                                          const std::string& name) {
    auto call = ioctx.connected();
    return sized_pairs<RadosError>(
        [&](char* keys, std::size_t* keys_size, char* values, std::size_t* values_size) {
            return call->rados_application_metadata_list(call.get(), name.c_str(), keys, keys_size,
                                                         values, values_size);
        },
        [&] {
            return "error listing metadata of application " + quoted(name) + " of " +
                   call.state().place();
        });
}

}  // namespace rbdxx::rados::application
