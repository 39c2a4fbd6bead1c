// The entries of an object's omap, as an operation has read them.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados {

class ReadOperation;
class WriteOperation;

namespace omap {

struct Entry {
    std::string_view key;
    std::optional<std::string_view> value;  // nothing where keys alone were asked for
};

// What one read of an operation finds. The operation fills it; entries can be taken once that has
// succeeded, each once, in the order of their keys. Not for two threads at once.
class Result {
public:
    // `has_values`: no, where keys alone are read.
    Result(const abi::Functions& table, bool has_values)
        : functions_(&table), has_values_(has_values) {}
    ~Result();
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;

    // The next entry, in memory of this result; nothing at the end. Throws RadosArgumentError
    // before the operation has succeeded, RadosError where this part of it failed.
    std::optional<Entry> next();

    // For the operation: where librados puts what it finds.
    abi::rados_omap_iter_t* iterator() { return &iterator_; }
    unsigned char* more() { return &more_; }
    int* code() { return &code_; }
    // The operation has succeeded.
    void complete() noexcept { complete_.store(true, std::memory_order_release); }

private:
    const abi::Functions* const functions_;
    const bool has_values_;
    abi::rados_omap_iter_t iterator_ = nullptr;
    unsigned char more_ = 0;
    int code_ = 0;
    std::atomic<bool> complete_{false};
};

// What to read, as parts of an operation.

// Entries whose keys come after `start_after` and begin with `prefix`, at most `most`.
// Implements: rados_read_op_omap_get_vals2
std::shared_ptr<Result> get_values(ReadOperation& operation, const std::string& start_after,
                                   const std::string& prefix, uint64_t most);
// As get_values(), without the values. Implements: rados_read_op_omap_get_keys2
std::shared_ptr<Result> get_keys(ReadOperation& operation, const std::string& start_after,
                                 uint64_t most);
// Implements: rados_read_op_omap_get_vals_by_keys2
std::shared_ptr<Result> get_values_by_keys(ReadOperation& operation,
                                           const std::vector<std::string>& keys);

// What to write, as parts of an operation.

// Values by the keys of the same places. Implements: rados_write_op_omap_set2
void set(WriteOperation& operation, const std::vector<std::string>& keys,
         const std::vector<std::string_view>& values);
// Implements: rados_write_op_omap_rm_keys2
void remove_keys(WriteOperation& operation, const std::vector<std::string>& keys);
// The keys from `first` to before `last`. Implements: rados_write_op_omap_rm_range2
void remove_range(WriteOperation& operation, const std::string& first, const std::string& last);
// Implements: rados_write_op_omap_clear
void clear(WriteOperation& operation);
// The operation fails (ECANCELED) unless the value compares so. Implements:
// rados_write_op_omap_cmp2
void compare(WriteOperation& operation, const std::string& key, std::string_view value,
             uint8_t comparison);

}  // namespace omap

}  // namespace rbdxx::rados
