// Keys and passphrases, in memory that is overwritten before it is freed.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace rbdxx {

// Bytes with a NUL behind them. They are never copied, and the destructor overwrites them.
class Secret {
public:
    Secret(const char* data, std::size_t size);
    ~Secret();
    Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret& operator=(Secret&&) = delete;
    const char* data() const { return bytes_.data(); }
    // Returns the number of bytes, without the NUL.
    std::size_t size() const { return bytes_.empty() ? 0 : bytes_.size() - 1; }

    // Overwrites memory that may hold a secret. A compiler may leave out plain stores to memory
    // that is about to be freed.
    static void wipe(char* data, std::size_t size) noexcept;

private:
    std::vector<char> bytes_;
};

}  // namespace rbdxx
