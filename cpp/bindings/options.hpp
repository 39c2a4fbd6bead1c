// Image options from the keyword arguments that create, clone, copy and migration share.
#pragma once

#include <optional>

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

}  // namespace rbdxx::python
