// A ring of memory.
#pragma once

#include <cstdint>
#include <optional>

namespace rbdxx::detail {

// Memory from which contiguous pieces are taken and given back, first in, first out.
class Ring {
public:
    explicit Ring(uint64_t capacity) : capacity_(capacity) {}
    struct Piece {
        uint64_t start = 0;
        uint64_t cost = 0;  // the size, and what was left over at the ring's end
    };
    std::optional<Piece> take(uint64_t length) {
        const uint64_t size = (length + alignment - 1) / alignment * alignment;
        if (used_ == 0) {
            // Nothing is taken: all of the ring is one piece again.
            head_ = 0;
        }
        const bool wraps = size > capacity_ - head_;
        const uint64_t start = wraps ? 0 : head_;
        const uint64_t cost = size + (wraps ? capacity_ - head_ : 0);
        if (cost > capacity_ - used_) {
            return std::nullopt;
        }
        head_ = start + size;
        used_ += cost;
        return Piece{start, cost};
    }
    // Gives back the oldest piece, by its cost.
    void give(uint64_t cost) { used_ -= cost; }
    uint64_t capacity() const { return capacity_; }

private:
    // Pieces of the ring begin at multiples of this.
    static constexpr uint64_t alignment = 64;

    const uint64_t capacity_;
    uint64_t head_ = 0;
    uint64_t used_ = 0;
};

}  // namespace rbdxx::detail
