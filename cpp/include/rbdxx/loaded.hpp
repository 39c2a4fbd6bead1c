// What other modules of this process have loaded.
#pragma once

#include <string>

namespace rbdxx {

// The file of the librados that a loaded shared object (a Python extension's file, say) resolves
// to; empty where it is not loaded or resolves to none.
std::string rados_of_module(const std::string& file);

}  // namespace rbdxx
