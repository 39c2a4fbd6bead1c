#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/features.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::features {

std::string to_string(uint64_t features) {
    const auto& functions = rbdxx::functions();
    return sized_string(
        [&](char* text, std::size_t* size) {
            return functions.rbd_features_to_string(features, text, size);
        },
        [&] { return "error naming the features " + std::to_string(features); });
}

uint64_t from_string(const std::string& text) {
    const auto& functions = rbdxx::functions();
    uint64_t features = 0;
    check(functions.rbd_features_from_string(text.c_str(), &features),
          [&] { return "error reading the features " + quoted(text); });
    return features;
}

}  // namespace rbdxx::features
