// The numbers of librados' C API, without their LIBRADOS_ prefix:
// rbdxx::rados::constants::OP_FLAG_EXCL.
#pragma once

#include <rbdxx/abi/types.hpp>

namespace rbdxx::rados::constants {

#define RBDXX_CONSTANT(release, type, prefix, name, value) \
    inline constexpr auto name = static_cast<type>(value);
#define RBDXX_TEXT(release, prefix, name, text) inline constexpr const char* name = text;
#include <rbdxx/abi/rados_constants.def>
#undef RBDXX_CONSTANT
#undef RBDXX_TEXT

}  // namespace rbdxx::rados::constants
