// Runs of zeroes in data, which a stream leaves out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace rbdxx::pipeline {

inline bool is_zero(const char* data, uint64_t length) {
    // A block equals itself moved by one byte only if all its bytes are the same.
    return length == 0 || (data[0] == 0 && std::memcmp(data, data + 1, length - 1) == 0);
}

// Calls visit(start, length, zero) for each run of zero blocks and of other blocks. Blocks are
// `grain` bytes at multiples of `grain` in the image.
template <class Visit>
void for_each_run(const char* data, uint64_t offset, uint64_t length, uint64_t grain,
                  const Visit& visit) {
    uint64_t run = 0;
    bool run_zero = false;
    for (uint64_t at = 0; at < length;) {
        uint64_t size = std::min(length - at, grain - (offset + at) % grain);
        bool zero = is_zero(data + at, size);
        if (at > run && zero != run_zero) {
            visit(run, at - run, run_zero);
            run = at;
        }
        run_zero = zero;
        at += size;
    }
    visit(run, length - run, run_zero);
}

}  // namespace rbdxx::pipeline
