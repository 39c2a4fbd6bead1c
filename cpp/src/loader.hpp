// dlopen and dlsym. No other file calls them.
#pragma once

#include <string>

namespace rbdxx::loader {

// An opened shared library. It stays loaded until the process ends, because its threads do.
class Library {
public:
    // Opens a file or soname. On failure the library is empty, and `error` holds what dlopen
    // reported.
    static Library open(const std::string& name, std::string& error);
    // Returns the library if it is loaded in this process already, otherwise an empty one.
    static Library loaded(const std::string& name);

    explicit operator bool() const { return handle_ != nullptr; }
    // Returns the symbol's address, also from the library's own dependencies. Returns null if there
    // is none.
    void* find(const char* symbol) const;

private:
    void* handle_ = nullptr;
};

// Returns the real path of the file that holds an address. Returns an empty text if it is unknown.
std::string file_of(const void* address);

}  // namespace rbdxx::loader
