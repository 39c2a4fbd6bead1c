#include <rbdxx/error.hpp>

namespace rbdxx {

std::string quoted(const std::string& name) {
    return "'" + name + "'";
}

std::string quoted(const char* name) {
    return name == nullptr ? std::string("None") : "'" + std::string(name) + "'";
}

}  // namespace rbdxx
