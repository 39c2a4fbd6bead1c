// Feature bits by their names.
#pragma once

#include <cstdint>
#include <string>

namespace rbdxx::features {

// "layering,striping" for the FEATURE_* bits. Implements: rbd_features_to_string
std::string to_string(uint64_t features);
// The bits for names with commas between them, or for a number; those of librbd's configuration
// for an empty text. Implements: rbd_features_from_string
uint64_t from_string(const std::string& text);

}  // namespace rbdxx::features
