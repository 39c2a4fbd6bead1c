#include <cerrno>
#include <cstdint>
#include <string>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/options.hpp>

namespace rbdxx {

namespace {

// librbd keeps these in 32 bits, and may divide by the truncated number.
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
    auto set = [](int result, const char* name) {
        if (result == -EINVAL) {
            throw MissingFunction("the loaded librbd does not know the option " + quoted(name) +
                                  " of images");
        }
        check(result, [&] { return "error setting the option " + quoted(name) + " of an image"; });
    };
    auto number = [&](const char* name, int option, const std::optional<uint64_t>& value,
                      bool zero_is_default = true) {
        if (value && !(zero_is_default && *value == 0)) {
            set(functions_.rbd_image_options_set_uint64(raw_, option, *value), name);
        }
    };
    auto text = [&](const char* name, int option, const std::optional<std::string>& value) {
        if (value) {
            set(functions_.rbd_image_options_set_string(raw_, option, value->c_str()), name);
        }
    };
    number("format", constants::IMAGE_OPTION_FORMAT, options.format, false);
    number("features", constants::IMAGE_OPTION_FEATURES, options.features, false);
    number("order", constants::IMAGE_OPTION_ORDER, options.order);
    number("stripe_unit", constants::IMAGE_OPTION_STRIPE_UNIT, options.stripe_unit);
    number("stripe_count", constants::IMAGE_OPTION_STRIPE_COUNT, options.stripe_count);
    text("data_pool", constants::IMAGE_OPTION_DATA_POOL, options.data_pool);
    number("clone_format", constants::IMAGE_OPTION_CLONE_FORMAT, options.clone_format, false);
    number("flatten", constants::IMAGE_OPTION_FLATTEN, options.flatten);
    number("journal_order", constants::IMAGE_OPTION_JOURNAL_ORDER, options.journal_order);
    number("journal_splay_width", constants::IMAGE_OPTION_JOURNAL_SPLAY_WIDTH,
           options.journal_splay_width);
    text("journal_pool", constants::IMAGE_OPTION_JOURNAL_POOL, options.journal_pool);
    number("mirror_image_mode", constants::IMAGE_OPTION_MIRROR_IMAGE_MODE,
           options.mirror_image_mode, false);
}

}  // namespace rbdxx
