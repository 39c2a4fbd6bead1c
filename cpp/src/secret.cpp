#include <rbdxx/secret.hpp>

namespace rbdxx {

Secret::Secret(const char* data, std::size_t size) {
    // In one allocation: a vector that grows would leave a copy in its former memory.
    bytes_.reserve(size + 1);
    bytes_.assign(data, data + size);
    bytes_.push_back('\0');
}

Secret::~Secret() {
    wipe(bytes_.data(), bytes_.size());
}

void Secret::wipe(char* data, std::size_t size) noexcept {
    volatile char* bytes = data;
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = 0;
    }
}

}  // namespace rbdxx
