#include <rbdxx/progress.hpp>

namespace rbdxx {

int report_progress(uint64_t done, uint64_t total, void* progress) noexcept {
    const auto& function = *static_cast<const Progress*>(progress);
    return function ? function(done, total) : 0;
}

}  // namespace rbdxx
