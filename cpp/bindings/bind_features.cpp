#include <rbdxx/features.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

void bind_features(RbdClass& rbd) {
    define_gated(
        rbd, "rbd_features_to_string", "features_to_string",
        [](const Rbd&, const U64& features) {
            return text(without_gil([&] { return features::to_string(features); }));
        },
        R"(Return the names of features.

Parameters
----------
features
    The sum of `RBD_FEATURE_*` bits.

Returns
-------
The names with commas between them, as in 'layering,striping'.

Raises
------
InvalidArgument
    A bit is not a feature.

Implements: rbd_features_to_string)",
        py::arg("features"));
    define_gated(
        rbd, "rbd_features_from_string", "features_from_string",
        [](const Rbd&, const Name& str_features) {
            return without_gil([&] { return features::from_string(str_features); });
        },
        R"(Return the bits of features.

Parameters
----------
str_features
    Names with commas between them, or a number. '' means librbd's default.

Returns
-------
The sum of `RBD_FEATURE_*` bits.

Raises
------
InvalidArgument
    A name is not that of a feature.

Implements: rbd_features_from_string)",
        py::arg("str_features"));
}

}  // namespace rbdxx::python
