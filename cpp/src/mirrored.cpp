// The mirrored images of a pool, and the C library's records of them as values.
#include <cstdlib>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/mirrored.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::mirrored {

namespace {

// Calls `function` at the end of the scope.
template <class Function>
class Finally {
public:
    explicit Finally(Function function) : function_(std::move(function)) {}
    ~Finally() { function_(); }
    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;

private:
    Function function_;
};

// Returns the number of entries that `call(&count)` has written, at most as many as the arrays
// hold.
template <class Call>
std::size_t listed(const IoCtx& ioctx, std::size_t most, const char* what, const Call& call) {
    auto describe = [&] { return "error listing " + std::string(what) + ioctx.place(); };
    std::size_t count = most;
    check(call(&count), describe);
    if (count > most) {
        throw LogicFault(describe() + ": librbd reports " + std::to_string(count) +
                         " entries in an array of " + std::to_string(most));
    }
    return count;
}

}  // namespace

ImageInfo info_of(const abi::rbd_mirror_image_info_t& record) {
    return {text_of(record.global_id), static_cast<int>(record.state), record.primary};
}

ImageStatus status_of(const abi::rbd_mirror_image_global_status_t& record) {
    ImageStatus status{text_of(record.name), info_of(record.info), {}};
    for (uint32_t i = 0; i < record.site_statuses_count; ++i) {
        const auto& site = record.site_statuses[i];
        status.sites.push_back({text_of(site.mirror_uuid), static_cast<int>(site.state),
                                text_of(site.description), site.last_update, site.up});
    }
    return status;
}

ImageStatus status_of(const abi::rbd_mirror_image_status_t& record) {
    return {text_of(record.name),
            info_of(record.info),
            {{"", static_cast<int>(record.state), text_of(record.description), record.last_update,
              record.up}}};
}

void free_info(const abi::Functions& functions, abi::rbd_mirror_image_info_t& record) noexcept {
    if (functions.rbd_mirror_image_get_info_cleanup) {
        functions.rbd_mirror_image_get_info_cleanup(&record);
    } else {
        std::free(record.global_id);
    }
    record.global_id = nullptr;
}

std::vector<std::pair<int, int>> summary(const IoCtx& ioctx) {
    auto use = ioctx.use();
    std::vector<abi::rbd_mirror_image_status_state_t> states;
    std::vector<int> counts;
    std::size_t used = 0;
    auto describe = [&] {
        return "error getting the summary of mirror image states" + ioctx.place();
    };
    check(until_sized(
              std::size_t{16},
              [&](std::size_t& size) {
                  states.assign(size, {});
                  counts.assign(size, 0);
                  int result = use->rbd_mirror_image_status_summary(use.get(), states.data(),
                                                                    counts.data(), &size);
                  used = size;
                  return result;
              },
              sizeof states[0] + sizeof counts[0]),
          describe);
    if (used > states.size()) {
        throw LogicFault(describe() + ": librbd reports " + std::to_string(used) +
                         " states in an array of " + std::to_string(states.size()));
    }
    std::vector<std::pair<int, int>> found;
    for (std::size_t i = 0; i < used; ++i) {
        found.emplace_back(static_cast<int>(states[i]), counts[i]);
    }
    return found;
}

std::vector<StatusEntry> statuses(const IoCtx& ioctx, const std::string& after, std::size_t most) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    const char* what = "mirror image statuses";
    std::vector<char*> ids(most);
    std::vector<StatusEntry> entries;
    if (functions.rbd_mirror_image_global_status_list) {
        std::vector<abi::rbd_mirror_image_global_status_t> records(most);
        std::size_t count = listed(ioctx, most, what, [&](std::size_t* length) {
            return functions.rbd_mirror_image_global_status_list(
                use.get(), after.c_str(), most, ids.data(), records.data(), length);
        });
        Finally cleanup([&] {
            functions.rbd_mirror_image_global_status_list_cleanup(ids.data(), records.data(),
                                                                  count);
        });
        for (std::size_t i = 0; i < count; ++i) {
            entries.push_back({text_of(ids[i]), status_of(records[i])});
        }
        return entries;
    }
    std::vector<abi::rbd_mirror_image_status_t> records(most);
    std::size_t count = listed(ioctx, most, what, [&](std::size_t* length) {
        return functions.rbd_mirror_image_status_list(use.get(), after.c_str(), most, ids.data(),
                                                      records.data(), length);
    });
    Finally cleanup(
        [&] { functions.rbd_mirror_image_status_list_cleanup(ids.data(), records.data(), count); });
    for (std::size_t i = 0; i < count; ++i) {
        entries.push_back({text_of(ids[i]), status_of(records[i])});
    }
    return entries;
}

std::vector<InfoEntry> infos(const IoCtx& ioctx, const std::optional<int>& mode,
                             const std::string& after, std::size_t most) {
    auto use = ioctx.use();
    abi::rbd_mirror_image_mode_t filter{};
    if (mode) {
        filter = static_cast<abi::rbd_mirror_image_mode_t>(*mode);
    }
    std::vector<char*> ids(most);
    std::vector<abi::rbd_mirror_image_mode_t> modes(most);
    std::vector<abi::rbd_mirror_image_info_t> records(most);
    std::size_t count = listed(ioctx, most, "mirror image info", [&](std::size_t* length) {
        return use->rbd_mirror_image_info_list(use.get(), mode ? &filter : nullptr, after.c_str(),
                                               most, ids.data(), modes.data(), records.data(),
                                               length);
    });
    Finally cleanup(
        [&] { use->rbd_mirror_image_info_list_cleanup(ids.data(), records.data(), count); });
    std::vector<InfoEntry> entries;
    for (std::size_t i = 0; i < count; ++i) {
        entries.push_back({text_of(ids[i]), static_cast<int>(modes[i]), info_of(records[i])});
    }
    return entries;
}

std::vector<InstanceEntry> instances(const IoCtx& ioctx, const std::string& after,
                                     std::size_t most) {
    auto use = ioctx.use();
    std::vector<char*> ids(most);
    std::vector<char*> names(most);
    std::size_t count = listed(ioctx, most, "mirror image instance ids", [&](std::size_t* length) {
        return use->rbd_mirror_image_instance_id_list(use.get(), after.c_str(), most, ids.data(),
                                                      names.data(), length);
    });
    Finally cleanup(
        [&] { use->rbd_mirror_image_instance_id_list_cleanup(ids.data(), names.data(), count); });
    std::vector<InstanceEntry> entries;
    for (std::size_t i = 0; i < count; ++i) {
        entries.push_back({text_of(ids[i]), text_of(names[i])});
    }
    return entries;
}

}  // namespace rbdxx::mirrored
