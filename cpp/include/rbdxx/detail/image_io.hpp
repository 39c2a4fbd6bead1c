// The completions of calls that read, write or flush an image's data.
#pragma once

#include <rbdxx/engine.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::detail {

// A kind of completion, as engine::Librbd. If librbd lists completed ones for aio::poll_events(),
// that call frees them.
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

// For calls that librbd may report as complete before the cluster has what they change.
struct ImageWrite : ImageIo {
    static ssize_t result(const ImageState& image, void* completion) noexcept {
        const ssize_t result = ImageIo::result(image, completion);
        if (result >= 0) {
            image.unsaved.wrote();
        }
        return result;
    }
};

// For calls that flush.
struct ImageFlush : ImageIo {
    static int create(const ImageState& image, void* argument, engine::Completed completed,
                      void** completion) noexcept {
        const int result = ImageIo::create(image, argument, completed, completion);
        if (result >= 0) {
            image.unsaved.begin_flush();
        }
        return result;
    }
    static ssize_t result(const ImageState& image, void* completion) noexcept {
        const ssize_t result = ImageIo::result(image, completion);
        image.unsaved.end_flush(result >= 0);
        return result;
    }
    static void release(const ImageState& image, void* completion, bool submitted) noexcept {
        if (!submitted) {
            image.unsaved.end_flush(false);
        }
        ImageIo::release(image, completion, submitted);
    }
};

}  // namespace rbdxx::detail
