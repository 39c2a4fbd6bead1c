// The names of feature bits.
#pragma once

#include <cstdint>
#include <string>

namespace rbdxx::features {

// Returns the names of constants::FEATURE_* bits, such as "layering,striping". Throws Error EINVAL
// for a bit that librbd does not know. Implements: rbd_features_to_string
std::string to_string(uint64_t features);
// Returns the bits for names with commas between them, or for a number in decimal or "0x" notation.
// For an empty string it returns librbd's default. Throws Error EINVAL for a name that librbd does
// not know. Implements: rbd_features_from_string
uint64_t from_string(const std::string& text);

}  // namespace rbdxx::features
