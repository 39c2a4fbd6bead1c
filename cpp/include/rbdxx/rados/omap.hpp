// The omap of an object: its keys and values, read and written as parts of an operation.
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

// A key and its value.
struct Entry {
    std::string_view key;
    std::optional<std::string_view> value;  // nothing if only the keys were read
};

// The result of one read of an operation. Its entries can be taken once the operation has
// succeeded, each once, in the order of the keys. Not for two threads at once.
class Result {
public:
    // `has_values` is false if only the keys are read.
    Result(const abi::Functions& table, bool has_values)
        : functions_(&table), has_values_(has_values) {}
    ~Result();
    Result(const Result&) = delete;
    Result& operator=(const Result&) = delete;

    // Returns the next entry, whose texts live as long as this result; nothing at the end. Throws
    // RadosArgumentError before the operation has succeeded, and RadosError if this part of it has
    // failed.
    std::optional<Entry> next();

    // For the operation. Returns where librados stores the iterator.
    abi::rados_omap_iter_t* iterator() { return &iterator_; }
    // For the operation. Returns where librados stores whether there are more entries.
    unsigned char* more() { return &more_; }
    // For the operation. Returns where librados stores the result of this part.
    int* code() { return &code_; }
    // For the operation: it has succeeded.
    void complete() noexcept { complete_.store(true, std::memory_order_release); }

private:
    const abi::Functions* const functions_;
    const bool has_values_;
    abi::rados_omap_iter_t iterator_ = nullptr;
    unsigned char more_ = 0;
    int code_ = 0;
    std::atomic<bool> complete_{false};
};

// Parts of a read operation. Each call adds one, and throws RadosArgumentError if the operation was
// not created, or was released.

// Reads at most `most` entries whose keys come after `start_after` and begin with `prefix`. Returns
// the result, which the operation fills. Implements: rados_read_op_omap_get_vals2
std::shared_ptr<Result> get_values(ReadOperation& operation, const std::string& start_after,
                                   const std::string& prefix, uint64_t most);
// As get_values(), without the values. Implements: rados_read_op_omap_get_keys2
std::shared_ptr<Result> get_keys(ReadOperation& operation, const std::string& start_after,
                                 uint64_t most);
// As get_values(), for the entries with these keys. Implements:
// rados_read_op_omap_get_vals_by_keys2
std::shared_ptr<Result> get_values_by_keys(ReadOperation& operation,
                                           const std::vector<std::string>& keys);

// Parts of a write operation. Each call adds one. Throws RadosArgumentError if the operation was
// not created, or was released.

// Sets the values of keys, each value by the key at the same place; there are as many of both.
// Implements: rados_write_op_omap_set2
void set(WriteOperation& operation, const std::vector<std::string>& keys,
         const std::vector<std::string_view>& values);
// Removes keys. Implements: rados_write_op_omap_rm_keys2
void remove_keys(WriteOperation& operation, const std::vector<std::string>& keys);
// Removes the keys from `first` to `last`, without `last`. Implements:
// rados_write_op_omap_rm_range2
void remove_range(WriteOperation& operation, const std::string& first, const std::string& last);
// Removes all keys. Implements: rados_write_op_omap_clear
void clear(WriteOperation& operation);
// Makes the operation fail with ECANCELED unless the key's value compares to `value` as
// `comparison`, constants::CMPXATTR_OP_*, says. Implements: rados_write_op_omap_cmp2
void compare(WriteOperation& operation, const std::string& key, std::string_view value,
             uint8_t comparison);

}  // namespace omap

}  // namespace rbdxx::rados
