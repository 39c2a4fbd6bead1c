// The progress of a long call.
#pragma once

#include <cstdint>
#include <functional>

namespace rbdxx {

// What a long call calls, from any thread, with the amount that is done and the total, in units of
// librbd's choice. 0 means to go on. A negative errno asks librbd to stop: if librbd heeds it, the
// call throws Error with that errno. It must not throw. An empty Progress is not called.
using Progress = std::function<int(uint64_t done, uint64_t total)>;

// The callback for the C functions. `progress` is what progress_argument() returns, or null.
// Returns what the Progress returns, or 0.
int report_progress(uint64_t done, uint64_t total, void* progress) noexcept;

// Returns the argument to pass with report_progress.
inline void* progress_argument(const Progress& progress) {
    return const_cast<Progress*>(&progress);
}

}  // namespace rbdxx
