#include "loader.hpp"

#include <dlfcn.h>

#include <climits>
#include <cstdlib>

namespace rbdxx::loader {

Library Library::open(const std::string& name, std::string& error) {
    Library library;
    dlerror();
    // Local, so that other modules do not see the C library's symbols. Never unloaded, because its
    // threads and thread-local destructors outlive every handle of this library.
    library.handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library.handle_ == nullptr) {
        const char* text = dlerror();
        error = text != nullptr ? text : "dlopen returned no reason";
    }
    return library;
}

Library Library::loaded(const std::string& name) {
    Library library;
    library.handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    return library;
}

void* Library::find(const char* symbol) const {
    return handle_ == nullptr ? nullptr : dlsym(handle_, symbol);
}

std::string file_of(const void* address) {
    Dl_info info{};
    if (address == nullptr || dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        return {};
    }
    char resolved[PATH_MAX];
    return realpath(info.dli_fname, resolved) != nullptr ? resolved : info.dli_fname;
}

}  // namespace rbdxx::loader
