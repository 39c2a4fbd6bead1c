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
        "The names of RBD_FEATURE_* bits, as in 'layering,striping'.\n\n"
        "Raises InvalidArgument for an unknown bit.\n\nImplements: rbd_features_to_string",
        py::arg("features"));
    define_gated(
        rbd, "rbd_features_from_string", "features_from_string",
        [](const Rbd&, const Name& str_features) {
            return without_gil([&] { return features::from_string(str_features); });
        },
        "The RBD_FEATURE_* bits for names with commas between them, or for a number; librbd's "
        "default for ''.\n\n"
        "Raises InvalidArgument for an unknown name.\n\nImplements: rbd_features_from_string",
        py::arg("str_features"));
}

}  // namespace rbdxx::python
