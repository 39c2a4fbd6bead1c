#include <cerrno>
#include <cstdint>
#include <string>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx {

namespace {

// librbd keeps these in 32 bits, and may divide by what is left of them.
void require_32_bits(const char* name, const std::optional<uint64_t>& value) {
    if (value && *value > UINT32_MAX) {
        throw Error(EINVAL, std::string(name) + " must be at most " + std::to_string(UINT32_MAX) +
                                ", not " + std::to_string(*value));
    }
}

}  // namespace

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
    require_32_bits("stripe_unit", options.stripe_unit);
    require_32_bits("stripe_count", options.stripe_count);
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
