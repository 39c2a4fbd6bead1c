#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx {

OptionsHandle::OptionsHandle(const ImageOptions& options) : functions_(rbdxx::functions()) {
    functions_.rbd_image_options_create(&raw_);
    try {
        fill(options);
    } catch (...) {
        functions_.rbd_image_options_destroy(raw_);
        throw;
    }
}

OptionsHandle::~OptionsHandle() {
    functions_.rbd_image_options_destroy(raw_);
}

void OptionsHandle::fill(const ImageOptions& options) {
    auto refused = [](int result, int option) {
        if (result == -EINVAL) {
            throw MissingFunction("image option " + std::to_string(option) +
                                  " is not known to the loaded librbd");
        }
        check(result, [&] { return "error setting image option " + std::to_string(option); });
    };
    auto number = [&](int option, const std::optional<uint64_t>& value, bool zero_is_default) {
        if (value && !(zero_is_default && *value == 0)) {
            refused(functions_.rbd_image_options_set_uint64(raw_, option, *value), option);
        }
    };
    auto text = [&](int option, const std::optional<std::string>& value) {
        if (value) {
            refused(functions_.rbd_image_options_set_string(raw_, option, value->c_str()), option);
        }
    };
    number(constants::IMAGE_OPTION_FORMAT, options.format, false);
    number(constants::IMAGE_OPTION_FEATURES, options.features, false);
    number(constants::IMAGE_OPTION_ORDER, options.order, true);
    number(constants::IMAGE_OPTION_STRIPE_UNIT, options.stripe_unit, true);
    number(constants::IMAGE_OPTION_STRIPE_COUNT, options.stripe_count, true);
    text(constants::IMAGE_OPTION_DATA_POOL, options.data_pool);
    number(constants::IMAGE_OPTION_CLONE_FORMAT, options.clone_format, false);
    number(constants::IMAGE_OPTION_FLATTEN, options.flatten, true);
    number(constants::IMAGE_OPTION_JOURNAL_ORDER, options.journal_order, true);
    number(constants::IMAGE_OPTION_JOURNAL_SPLAY_WIDTH, options.journal_splay_width, true);
    text(constants::IMAGE_OPTION_JOURNAL_POOL, options.journal_pool);
    number(constants::IMAGE_OPTION_MIRROR_IMAGE_MODE, options.mirror_image_mode, false);
}

}  // namespace rbdxx
