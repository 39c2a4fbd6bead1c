#include <rbdxx/config.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::config {

namespace {

template <class List, class Cleanup, class State>
std::vector<Option> list_by(const List& list, const Cleanup& cleanup, const Use<State>& use,
                            const std::string& owner) {
    auto records = sized_records<abi::rbd_config_option_t, Error, int>(
        [&](auto* array, int* count) { return list(use.get(), array, count); },
        [&] { return "error listing the configuration" + owner; }, 128);
    Records<abi::rbd_config_option_t> owned(std::move(records), cleanup);
    std::vector<Option> options;
    for (const auto& record : owned) {
        options.push_back({text_of(record.name), text_of(record.value), record.source});
    }
    return options;
}

}  // namespace

std::vector<Option> list(const Image& image) {
    auto use = image.use();
    return list_by(use->rbd_config_image_list, use->rbd_config_image_list_cleanup, use,
                   " of " + image.describe());
}

std::vector<Option> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return list_by(use->rbd_config_pool_list, use->rbd_config_pool_list_cleanup, use,
                   ioctx.place());
}

std::string metadata_key(const std::string& option) {
    return "conf_" + option;
}

}  // namespace rbdxx::config
