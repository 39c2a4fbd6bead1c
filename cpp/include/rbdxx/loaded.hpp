// The librados that another module of this process has loaded.
#pragma once

#include <string>

namespace rbdxx {

// Returns the path of the librados whose functions a loaded shared object, such as a Python
// extension, resolves to. Returns an empty string if the object is not loaded or uses no librados.
std::string rados_of_module(const std::string& file);

}  // namespace rbdxx
