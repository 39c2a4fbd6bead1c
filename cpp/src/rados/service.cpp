#include <rbdxx/error.hpp>
#include <rbdxx/rados/service.hpp>

namespace rbdxx::rados::service {

namespace {

// Returns pairs in the form that librados takes: each text ends with a NUL, and so does the whole.
std::string flat(const Pairs& pairs, const char* what) {
    std::string text;
    for (const auto& [name, value] : pairs) {
        // librados would take an empty text for the end.
        if (name.empty()) {
            throw RadosArgumentError(std::string("a name in ") + what + " must not be empty");
        }
        text.append(name).append(1, '\0').append(value).append(1, '\0');
    }
    return text.append(1, '\0');
}

}  // namespace

void add(const Cluster& cluster, const std::string& service, const std::string& name,
         const Pairs& metadata) {
    const std::string given = flat(metadata, "metadata");
    auto call = cluster.use();
    check<RadosError>(
        call->rados_service_register(call.get(), service.c_str(), name.c_str(), given.c_str()),
        [&] {
            return "error registering this client as daemon " + quoted(name) + " of service " +
                   quoted(service);
        });
}

void update(const Cluster& cluster, const Pairs& status) {
    const std::string given = flat(status, "status");
    auto call = cluster.use();
    check<RadosError>(call->rados_service_update_status(call.get(), given.c_str()), [] {
        return std::string("error updating the status of this client's service daemon");
    });
}

}  // namespace rbdxx::rados::service
