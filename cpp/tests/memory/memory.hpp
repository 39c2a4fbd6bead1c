// The controls of the librbd in memory, for the tests that run over it.
#pragma once

#include <cstdint>

namespace memory {

// Every image is new, empty, and of this size in bytes.
inline constexpr uint64_t image_size = uint64_t{4} << 20;

// The objects that exist and are not freed.
struct Live {
    int clusters;
    int ioctxs;
    int images;
    int completions;
};
Live live();

// Operations are accepted, but none completes before the end of its life.
class Hold {
public:
    Hold();
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
};

// Submissions of operations on the byte at the offset return `result`.
void refuse(uint64_t offset, int result);
// Operations on the byte at the offset complete with `result`.
void spoil(uint64_t offset, int result);
// Removes all faults.
void forgive();
// Returns how many operations were submitted so far, the refused ones among them.
int submissions();

// Tells every watch that its image has changed, and makes every quiesce watch quiesce and
// unquiesce.
void announce();

}  // namespace memory
