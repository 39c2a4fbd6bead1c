#include "mirrored.hpp"

#include "arguments.hpp"
#include "time.hpp"

namespace rbdxx::python {

namespace {

void add_site(py::dict& dict, const mirrored::SiteStatus& site) {
    dict["state"] = site.state;
    dict["description"] = text(site.description);
    dict["last_update"] = utc_datetime(site.last_update);
    dict["up"] = site.up;
}

}  // namespace

py::dict to_dict(const mirrored::ImageInfo& info) {
    py::dict dict;
    dict["global_id"] = text(info.global_id);
    dict["state"] = info.state;
    dict["primary"] = info.primary;
    return dict;
}

py::dict to_dict(const mirrored::ImageStatus& status, const std::string& image_id) {
    py::dict dict;
    dict["name"] = text(status.name);
    dict["id"] = text(image_id);
    dict["info"] = to_dict(status.info);
    py::list remote;
    mirrored::SiteStatus local;
    local.description = "status not found";
    for (const auto& site : status.sites) {
        if (site.mirror_uuid.empty()) {
            local = site;
            continue;
        }
        py::dict other;
        other["mirror_uuid"] = text(site.mirror_uuid);
        add_site(other, site);
        remote.append(other);
    }
    dict["remote_statuses"] = remote;
    add_site(dict, local);
    return dict;
}

}  // namespace rbdxx::python
