// Keys and passphrases: memory of ours that is wiped before it is given back.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace rbdxx {

// Bytes, with a NUL behind them, that are wiped when they are let go of, and that nothing copies.
class Secret {
public:
    Secret(const char* data, std::size_t size);
    ~Secret();
    Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret& operator=(Secret&&) = delete;
    const char* data() const { return bytes_.data(); }
    std::size_t size() const { return bytes_.empty() ? 0 : bytes_.size() - 1; }

    // Overwrites what may be secret, where the compiler would leave out stores to memory that is
    // about to go.
    static void wipe(char* data, std::size_t size) noexcept;

private:
    std::vector<char> bytes_;
};

}  // namespace rbdxx
