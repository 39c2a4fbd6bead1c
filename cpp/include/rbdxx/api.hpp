// The C libraries as they were found at run time: one typed pointer for each line of the ABI table.
#pragma once

#include <rbdxx/abi/types.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace rbdxx {

namespace abi {
struct Functions;
}

// Returns whether a C function only frees what another one has made, judged by its name.
// Destructors call such functions.
constexpr bool frees(std::string_view name) {
    for (std::string_view ending :
         {"_cleanup", "_end", "_release", "_destroy", "_free", "_shutdown"}) {
        if (name.size() > ending.size() && name.substr(name.size() - ending.size()) == ending) {
            return true;
        }
    }
    return false;
}

// A C function of the table. Calling one that the loaded library lacks throws MissingFunction.
// Calling one that only frees does nothing then: what it would free was never made.
template <class Signature>
class Function;

template <class Result, class... Args>
class Function<Result(Args...)> {
public:
    constexpr explicit Function(const char* name) : name_(name) {}

    Result operator()(Args... args) const {
        if (pointer_ == nullptr) {
            if constexpr (std::is_void_v<Result>) {
                if (frees(name_)) {
                    return;
                }
            }
            missing();
        }
        return pointer_(args...);
    }

    // Throws MissingFunction now rather than later, when nothing may be thrown.
    void require() const {
        if (pointer_ == nullptr) {
            missing();
        }
    }

    explicit operator bool() const { return pointer_ != nullptr; }
    const char* name() const { return name_; }
    // The plain C function; null if the loaded library lacks it.
    Result (*address() const)(Args...) { return pointer_; }

private:
    friend struct abi::Functions;
    using Pointer = Result (*)(Args...);

    [[noreturn]] void missing() const;

    const char* name_;
    Pointer pointer_ = nullptr;
};

// Throws MissingFunction for `name`, with the library's path and version.
[[noreturn]] void throw_missing_function(const char* name);

template <class Result, class... Args>
void Function<Result(Args...)>::missing() const {
    throw_missing_function(name_);
}

namespace abi {

// Every function of the table, by its C name. Members are filled once, when the libraries load.
struct Functions {
#define RBDXX_FUNCTION(release, result, name, parameters) Function<result parameters> name{#name};
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION

    // Looks every function up by `find(name)`, which returns null if the library lacks it.
    template <class Find>
    void fill(const Find& find) {
#define RBDXX_FUNCTION(release, result, name, parameters) \
    name.pointer_ = reinterpret_cast<decltype(name.pointer_)>(find(#name));
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
    }
};

}  // namespace abi

// Returns the functions of the loaded C libraries, and loads these at the first call. Any thread
// may call it. Throws LibraryNotFound; a later call then tries again.
const abi::Functions& functions();

struct Version {
    int major = 0;
    int minor = 0;
    int extra = 0;
};

struct LibraryInfo {
    std::string path;                  // of librbd
    std::string rados_path;            // of librados
    Version version;                   // as rbd_version reports it
    int release = 0;                   // Ceph's release, by the newest function that is there
    std::vector<std::string> missing;  // functions of the table that the library lacks
};

// Returns what was loaded, and loads the libraries if they are not loaded yet. Throws
// LibraryNotFound.
const LibraryInfo& library_info();

// Returns whether the loaded library has the function, and loads the libraries if they are not
// loaded yet. Throws LibraryNotFound, and std::out_of_range for a name that the table does not
// have.
bool supports(const std::string& name);

struct TableEntry {
    const char* name;
    int release;  // the first Ceph release that has it
    bool rados;   // of librados, not of librbd
};

// Returns the whole ABI table, in its order. Loads nothing.
const std::vector<TableEntry>& table();

}  // namespace rbdxx
