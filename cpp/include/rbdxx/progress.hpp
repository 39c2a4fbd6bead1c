// Progress of a long call.
#pragma once

#include <cstdint>
#include <functional>

namespace rbdxx {

// Called with what is done and the total, from whichever thread librbd uses. A negative answer asks
// to stop, where librbd heeds it; the call then fails with that errno. Must not throw.
using Progress = std::function<int(uint64_t done, uint64_t total)>;

// The C callback for a `const Progress*`; an empty or null Progress goes on.
int report_progress(uint64_t done, uint64_t total, void* progress) noexcept;

// The argument that goes with report_progress.
inline void* progress_argument(const Progress& progress) {
    return const_cast<Progress*>(&progress);
}

}  // namespace rbdxx
