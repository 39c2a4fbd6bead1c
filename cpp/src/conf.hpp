// Options of a connection, as the package itself reads them.
#pragma once

#include <array>
#include <cstring>
#include <locale>
#include <optional>
#include <sstream>

#include <rbdxx/api.hpp>

namespace rbdxx::conf {

using Value = std::array<char, 32>;

// Returns a short value; an empty one if it is longer, or if librados does not know the option.
inline Value value(const abi::Functions& functions, abi::rados_t cluster,
                   const char* name) noexcept {
    Value found{};
    if (!functions.rados_conf_get ||
        functions.rados_conf_get(cluster, name, found.data(), found.size()) < 0) {
        found = {};
    }
    return found;
}

// Returns whether an option has that value.
inline bool is(const abi::Functions& functions, abi::rados_t cluster, const char* name,
               const char* wanted) noexcept {
    return std::strcmp(value(functions, cluster, name).data(), wanted) == 0;
}

// Returns a number; nothing if the value is none.
inline std::optional<double> number(const abi::Functions& functions, abi::rados_t cluster,
                                    const char* name) {
    std::istringstream stream(value(functions, cluster, name).data());
    stream.imbue(std::locale::classic());
    double number = 0;
    return stream >> number ? std::optional<double>(number) : std::nullopt;
}

}  // namespace rbdxx::conf
