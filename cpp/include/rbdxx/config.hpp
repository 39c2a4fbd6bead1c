// librbd's options as a pool or an image overrides them.
#pragma once

#include <string>
#include <vector>

#include <rbdxx/image.hpp>

namespace rbdxx::config {

struct Option {
    std::string name;
    std::string value;
    unsigned source = 0;  // CONFIG_SOURCE_*: where the value comes from
};

// Every option with the value that holds here.
// Implements: rbd_config_image_list, rbd_config_pool_list
std::vector<Option> list(const Image& image);
std::vector<Option> list(const IoCtx& ioctx);

// The metadata key under which an override of the option is kept.
std::string metadata_key(const std::string& option);

}  // namespace rbdxx::config
