#include <rbdxx/sized.hpp>

#include <algorithm>

namespace rbdxx {

std::vector<std::string> split_names(const std::string& buffer, std::size_t length) {
    std::vector<std::string> names;
    for (std::size_t at = 0; at < length && buffer[at] != '\0';) {
        names.emplace_back(buffer.c_str() + at);
        at += names.back().size() + 1;
    }
    return names;
}

std::vector<std::pair<std::string, std::string>> join_pairs(const std::string& keys,
                                                            std::size_t keys_used,
                                                            const std::string& values,
                                                            std::size_t values_used) {
    std::vector<std::pair<std::string, std::string>> pairs;
    std::size_t keys_end = std::min(keys_used, keys.size());
    std::size_t values_end = std::min(values_used, values.size());
    for (std::size_t key = 0, value = 0; key < keys_end && value < values_end;) {
        pairs.emplace_back(keys.c_str() + key, values.c_str() + value);
        key += pairs.back().first.size() + 1;
        value += pairs.back().second.size() + 1;
    }
    return pairs;
}

}  // namespace rbdxx
