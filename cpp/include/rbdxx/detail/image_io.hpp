// The completions of calls that read or write an image.
#pragma once

#include <rbdxx/engine.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::detail {

// A kind of completion: as engine::Librbd, but librbd may still have to tell of one that has
// completed; then aio::poll_events() frees it.
struct ImageIo {
    using Context = ImageState;
    static void require(const ImageState& image) { engine::Librbd::require(*image.functions); }
    static int create(const ImageState& image, void* argument, engine::Completed completed,
                      void** completion) noexcept {
        return engine::Librbd::create(*image.functions, argument, completed, completion);
    }
    static ssize_t result(const ImageState& image, void* completion) noexcept {
        return engine::Librbd::result(*image.functions, completion);
    }
    static void release(const ImageState& image, void* completion, bool submitted) noexcept {
        if (submitted && image.notifies.load(std::memory_order_relaxed)) {
            image.untold.fetch_add(1);
        } else {
            engine::Librbd::release(*image.functions, completion, submitted);
        }
    }
};

}  // namespace rbdxx::detail
