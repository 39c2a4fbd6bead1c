// The objects of a pool, page by page.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados {

// A listing that has begun, of the context's namespace; of constants::ALL_NSPACES, of all. Keeps
// the context's C handle, not the context: once that is closed, next() throws ClosedError.
// Thread-safe.
class Listing {
public:
    struct Entry {
        std::string name;
        std::optional<std::string> locator;
        std::string space;  // the namespace
    };

    // Implements: rados_nobjects_list_open
    explicit Listing(IoCtx ioctx);
    ~Listing();
    Listing(const Listing&) = delete;
    Listing& operator=(const Listing&) = delete;

    // Up to `most` further objects, at least one; none at the end.
    // Implements: rados_nobjects_list_next2
    std::vector<Entry> next(std::size_t most);

private:
    void close() noexcept;

    IoCtx ioctx_;
    // Not closed under the listing: librados' own has a pointer to the context's.
    std::optional<Use<IoCtxState>> held_;
    std::mutex mutex_;
    abi::rados_list_ctx_t raw_ = nullptr;
};

}  // namespace rbdxx::rados
