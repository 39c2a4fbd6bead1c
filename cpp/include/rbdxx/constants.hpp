// The numbers of librbd's C API, without their RBD_ prefix: rbdxx::constants::FEATURE_LAYERING.
#pragma once

#include <rbdxx/abi/types.hpp>

namespace rbdxx::constants {

using namespace rbdxx::abi;

#define RBDXX_CONSTANT(release, type, prefix, name, value) \
    inline constexpr auto name = static_cast<type>(value);
#define RBDXX_TEXT(release, prefix, name, text) inline constexpr const char* name = text;
#include <rbdxx/abi/constants.def>
#undef RBDXX_CONSTANT
#undef RBDXX_TEXT

}  // namespace rbdxx::constants
