#include <rbdxx/loaded.hpp>

#include "loader.hpp"

namespace rbdxx {

std::string rados_of_module(const std::string& file) {
    return loader::file_of(loader::Library::loaded(file).find("rados_create2"));
}

}  // namespace rbdxx
