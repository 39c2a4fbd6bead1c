// dlopen and dlsym: the only place in the tree that calls them.
#pragma once

#include <string>

namespace rbdxx::loader {

// An opened shared library; stays loaded for the life of the process, since its threads do.
class Library {
public:
    // Opens a file or soname. On failure `error` holds what dlopen said and the library is empty.
    static Library open(const std::string& name, std::string& error);
    // The library if it is loaded in this process already, else an empty one.
    static Library loaded(const std::string& name);

    explicit operator bool() const { return handle_ != nullptr; }
    // The symbol's address, also from the library's own dependencies; null where there is none.
    void* find(const char* symbol) const;

private:
    void* handle_ = nullptr;
};

// The real path of the file that holds an address; empty where it is unknown.
std::string file_of(const void* address);

}  // namespace rbdxx::loader
