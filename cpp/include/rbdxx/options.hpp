// The options of an image that is to be created.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <rbdxx/api.hpp>

namespace rbdxx {

// For an option without a value, and for an order, a stripe unit or a stripe count of 0, librbd
// uses the cluster's configuration. Features of 0 mean an image without features.
struct ImageOptions {
    std::optional<uint64_t> format;       // 1 or 2
    std::optional<uint64_t> features;     // constants::FEATURE_* bits
    std::optional<uint64_t> order;        // object size == 1 << order bytes
    std::optional<uint64_t> stripe_unit;  // bytes
    std::optional<uint64_t> stripe_count;
    std::optional<std::string> data_pool;         // the pool for the data
    std::optional<uint64_t> clone_format;         // 1 or 2
    std::optional<uint64_t> flatten;              // 1: a copy of a clone has no parent
    std::optional<uint64_t> journal_order;        // journal objects have 1 << order bytes
    std::optional<uint64_t> journal_splay_width;  // journal objects that are active at once
    std::optional<std::string> journal_pool;      // the pool for the journal
    std::optional<uint64_t> mirror_image_mode;    // constants::MIRROR_IMAGE_MODE_*
};

// Owns the C form of ImageOptions, for calls of the C functions.
class OptionsHandle {
public:
    // Throws Error EINVAL if librbd refuses an option.
    explicit OptionsHandle(const ImageOptions& options);
    ~OptionsHandle();
    OptionsHandle(const OptionsHandle&) = delete;
    OptionsHandle& operator=(const OptionsHandle&) = delete;
    // Returns the C form.
    abi::rbd_image_options_t get() const { return raw_; }

private:
    void fill(const ImageOptions& options);

    const abi::Functions& functions_;
    abi::rbd_image_options_t raw_ = nullptr;
};

}  // namespace rbdxx
