// librbd's options, with the values that a pool or an image overrides.
#pragma once

#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::config {

// An option of librbd and its value.
struct Option {
    std::string name;
    std::string value;
    unsigned source = 0;  // CONFIG_SOURCE_*: where the value comes from
};

// Returns every option with its value for the image. Throws Error.
// Implements: rbd_config_image_list
std::vector<Option> list(const Image& image);
// Returns every option with its value for the pool. Throws Error. Implements: rbd_config_pool_list
std::vector<Option> list(const IoCtx& ioctx);

// Returns the metadata key that overrides the option; see metadata::set().
std::string metadata_key(const std::string& option);

}  // namespace rbdxx::config
