// Listing the objects of a pool.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados {

// A listing under way, of the context's namespace, or of all if that is constants::ALL_NSPACES. It
// keeps the context's C handle, but not the context: once the context is closed, next() throws
// ClosedError. Thread-safe.
class Listing {
public:
    // An object.
    struct Entry {
        std::string name;
        std::optional<std::string> locator;  // the key that places the object, if it has one
        std::string space;                   // the namespace
    };

    // Begins a listing. Throws RadosError. Implements: rados_nobjects_list_open
    explicit Listing(IoCtx ioctx);
    ~Listing();
    Listing(const Listing&) = delete;
    Listing& operator=(const Listing&) = delete;

    // Returns up to `most` further objects, at least one; none at the end. Throws RadosError.
    // Implements: rados_nobjects_list_next2
    std::vector<Entry> next(std::size_t most);

private:
    void close() noexcept;

    IoCtx ioctx_;
    // Keeps the context's handle: librados' listing has a pointer to it.
    std::optional<Use<IoCtxState>> held_;
    std::mutex mutex_;
    abi::rados_list_ctx_t raw_ = nullptr;
};

}  // namespace rbdxx::rados
