#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "loader.hpp"

namespace rbdxx {

namespace {

struct Loaded {
    abi::Functions functions;
    LibraryInfo info;
};

std::mutex load_mutex;
// Never freed, because the C library's threads may call back until the process ends.
std::atomic<const Loaded*> loaded{nullptr};

// Locked across fork(), because a child must not inherit a lock held by a thread that the child
// does not have.
const int fork_guard = pthread_atfork([] { load_mutex.lock(); }, [] { load_mutex.unlock(); },
                                      [] { load_mutex.unlock(); });

const char* from_environment(const char* variable, const char* otherwise) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0' ? value : otherwise;
}

// The section of the manual that helps with every failure to load.
constexpr const char* section = " See \"Install it\" in the manual, docs/start.md.";

[[noreturn]] void not_found(const char* what, const std::string& name, const char* variable,
                            const std::string& reason) {
    throw LibraryNotFound(std::string(what) + " (" + name + ") cannot be loaded: " + reason +
                          ". Install Ceph's client library (Debian and Ubuntu: apt-get install "
                          "librbd1; Fedora, CentOS: dnf install librbd1), or name the file in " +
                          variable + "." + section);
}

// One process must not hold two librados: their global state and their handles would meet.
void require_one_rados(const std::string& ours, const loader::Library& other, const char* whose) {
    std::string theirs = loader::file_of(other.find("rados_create2"));
    if (!theirs.empty() && theirs != ours) {
        throw LibraryNotFound(
            "librados is " + ours + " here, but " + whose + " uses " + theirs +
            ": one process can hold only one. Set RADOS_LIBRARY and RBD_LIBRARY to "
            "files of the same Ceph release." +
            section);
    }
}

const Loaded* load() {
    std::string reason;
    std::string rbd_name = from_environment("RBD_LIBRARY", "librbd.so.1");
    loader::Library rbd = loader::Library::open(rbd_name, reason);
    if (!rbd) {
        not_found("librbd", rbd_name, "RBD_LIBRARY", reason);
    }
    // Without RADOS_LIBRARY, librados is the one that librbd was linked with.
    loader::Library rados = rbd;
    const char* rados_name = from_environment("RADOS_LIBRARY", nullptr);
    if (rados_name != nullptr) {
        rados = loader::Library::open(rados_name, reason);
        if (!rados) {
            not_found("librados", rados_name, "RADOS_LIBRARY", reason);
        }
    } else if (rbd.find("rados_create2") == nullptr) {
        rados = loader::Library::open("librados.so.2", reason);
        if (!rados) {
            not_found("librados", "librados.so.2", "RADOS_LIBRARY", reason);
        }
    }
    auto fresh = std::make_unique<Loaded>();
    fresh->functions.fill([&](const char* name) {
        return std::string(name).rfind("rados_", 0) == 0 ? rados.find(name) : rbd.find(name);
    });
    LibraryInfo& info = fresh->info;
    info.path = loader::file_of(rbd.find("rbd_version"));
    info.rados_path = loader::file_of(rados.find("rados_create2"));
    if (info.path.empty() || info.rados_path.empty()) {
        not_found("librbd", rbd_name, "RBD_LIBRARY", "it has no rbd_version or no rados_create2");
    }
    if (rados_name != nullptr) {
        require_one_rados(info.rados_path, rbd, "librbd");
    }
    if (loader::Library other = loader::Library::loaded("librados.so.2")) {
        require_one_rados(info.rados_path, other, "another module of this process");
    }
    fresh->functions.rbd_version(&info.version.major, &info.version.minor, &info.version.extra);
#define RBDXX_FUNCTION(since, result, name, parameters) \
    if (!fresh->functions.name) {                       \
        info.missing.emplace_back(#name);               \
    } else {                                            \
        info.release = std::max(info.release, since);   \
    }
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
    return fresh.release();
}

const Loaded& get() {
    const Loaded* found = loaded.load(std::memory_order_acquire);
    if (found == nullptr) {
        std::lock_guard<std::mutex> lock(load_mutex);
        found = loaded.load(std::memory_order_acquire);
        if (found == nullptr) {
            found = load();
            loaded.store(found, std::memory_order_release);
        }
    }
    return *found;
}

}  // namespace

const abi::Functions& functions() {
    return get().functions;
}

const LibraryInfo& library_info() {
    return get().info;
}

void throw_missing_function(const char* name) {
    const LibraryInfo& info = library_info();
    throw MissingFunction(std::string(name) + " is not in " + info.path + " (version " +
                          std::to_string(info.version.major) + "." +
                          std::to_string(info.version.minor) + "." +
                          std::to_string(info.version.extra) + ")");
}

const std::vector<TableEntry>& table() {
    static const std::vector<TableEntry> entries = {
#define RBDXX_FUNCTION(release, result, name, parameters) {#name, release, false},
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
#define RBDXX_FUNCTION(release, result, name, parameters) {#name, release, true},
#include <rbdxx/abi/librados.def>
#undef RBDXX_FUNCTION
    };
    return entries;
}

bool supports(const std::string& name) {
#define RBDXX_FUNCTION(release, result, member, parameters) \
    if (name == #member) {                                  \
        return static_cast<bool>(functions().member);       \
    }
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
    throw std::out_of_range(name + " is not a function of librbd's or librados' C API");
}

}  // namespace rbdxx
