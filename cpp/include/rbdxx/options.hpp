// What an image is to be made like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <rbdxx/api.hpp>

namespace rbdxx {

// Each one that is not set is left to librbd and the cluster's configuration; so is an order, a
// stripe unit or a stripe count of 0. Features of 0 mean none.
struct ImageOptions {
    std::optional<uint64_t> format;  // 1 or 2
    std::optional<uint64_t> features;
    std::optional<uint64_t> order;        // object size == 1 << order bytes
    std::optional<uint64_t> stripe_unit;  // bytes
    std::optional<uint64_t> stripe_count;
    std::optional<std::string> data_pool;
    std::optional<uint64_t> clone_format;  // 1 or 2
    std::optional<uint64_t> flatten;       // 1: without a parent
    std::optional<uint64_t> journal_order;
    std::optional<uint64_t> journal_splay_width;
    std::optional<std::string> journal_pool;
    std::optional<uint64_t> mirror_image_mode;
};

// The C form of ImageOptions, freed with it.
class OptionsHandle {
public:
    explicit OptionsHandle(const ImageOptions& options);
    ~OptionsHandle();
    OptionsHandle(const OptionsHandle&) = delete;
    OptionsHandle& operator=(const OptionsHandle&) = delete;
    abi::rbd_image_options_t get() const { return raw_; }

private:
    void fill(const ImageOptions& options);

    const abi::Functions& functions_;
    abi::rbd_image_options_t raw_ = nullptr;
};

}  // namespace rbdxx
