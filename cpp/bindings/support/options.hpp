// Image options from the keyword arguments that create, clone, copy and migration share.
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include <rbdxx/error.hpp>
#include <rbdxx/options.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

inline ImageOptions layout_options(const std::optional<U64>& features,
                                   const std::optional<U64>& order,
                                   const std::optional<U64>& stripe_unit,
                                   const std::optional<U64>& stripe_count,
                                   const std::optional<Name>& data_pool) {
    ImageOptions options;
    options.features = number(features);
    options.order = number(order);
    options.stripe_unit = number(stripe_unit);
    options.stripe_count = number(stripe_count);
    options.data_pool = string(data_pool);
    return options;
}

// 1 or 2: librbd would treat any other number as one of them.
inline std::optional<uint64_t> clone_format_option(const std::optional<U64>& value) {
    if (value && *value != 1 && *value != 2) {
        throw Error(EINVAL, "clone_format must be 1 or 2, not " + std::to_string(*value));
    }
    return number(value);
}

}  // namespace rbdxx::python
