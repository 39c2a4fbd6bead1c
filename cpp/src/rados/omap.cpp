#include <rbdxx/rados/omap.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/rados/operation.hpp>

namespace rbdxx::rados::omap {

namespace {

// The keys as the C API takes them: pointers, and sizes.
struct Keys {
    explicit Keys(const std::vector<std::string>& keys) {
        pointers.reserve(keys.size());
        sizes.reserve(keys.size());
        for (const std::string& key : keys) {
            pointers.push_back(key.data());
            sizes.push_back(key.size());
        }
    }
    std::vector<const char*> pointers;
    std::vector<std::size_t> sizes;
};

std::shared_ptr<Result> new_result(bool has_values = true) {
    const abi::Functions& table = functions();
    table.rados_omap_get_end.require();
    return std::make_shared<Result>(table, has_values);
}

}  // namespace

Result::~Result() {
    if (iterator_ != nullptr) {
        functions_->rados_omap_get_end(iterator_);
    }
}

std::optional<Entry> Result::next() {
    // Without success, librados' iterator is not set.
    if (!complete_.load(std::memory_order_acquire)) {
        throw RadosArgumentError(
            "the omap's entries can be read once the operation that reads them has succeeded");
    }
    auto describe = [] { return std::string("error reading the omap of an object"); };
    check<RadosError>(code_, describe);
    char* key = nullptr;
    char* value = nullptr;
    std::size_t key_size = 0;
    std::size_t value_size = 0;
    check<RadosError>(
        functions_->rados_omap_get_next2(iterator_, &key, &value, &key_size, &value_size),
        describe);
    if (key == nullptr) {
        return std::nullopt;
    }
    Entry entry;
    entry.key = std::string_view(key, key_size);
    // librados returns null for an empty value.
    if (has_values_) {
        entry.value = value != nullptr ? std::string_view(value, value_size) : std::string_view("");
    }
    return entry;
}

std::shared_ptr<Result> get_values(ReadOperation& operation, const std::string& start_after,
                                   const std::string& prefix, uint64_t most) {
    auto result = new_result();
    operation.add_result(result, [&](const auto& table, void* raw) {
        table.rados_read_op_omap_get_vals2(raw, start_after.c_str(), prefix.c_str(), most,
                                           result->iterator(), result->more(), result->code());
    });
    return result;
}

std::shared_ptr<Result> get_keys(ReadOperation& operation, const std::string& start_after,
                                 uint64_t most) {
    auto result = new_result(false);
    operation.add_result(result, [&](const auto& table, void* raw) {
        table.rados_read_op_omap_get_keys2(raw, start_after.c_str(), most, result->iterator(),
                                           result->more(), result->code());
    });
    return result;
}

std::shared_ptr<Result> get_values_by_keys(ReadOperation& operation,
                                           const std::vector<std::string>& keys) {
    auto result = new_result();
    Keys raw_keys(keys);
    operation.add_result(result, [&](const auto& table, void* raw) {
        table.rados_read_op_omap_get_vals_by_keys2(raw, raw_keys.pointers.data(), keys.size(),
                                                   raw_keys.sizes.data(), result->iterator(),
                                                   result->code());
    });
    return result;
}

void set(WriteOperation& operation, const std::vector<std::string>& keys,
         const std::vector<std::string_view>& values) {
    if (keys.size() != values.size()) {
        throw RadosArgumentError("there must be as many values as keys, not " +
                                 std::to_string(keys.size()) + " keys and " +
                                 std::to_string(values.size()) + " values");
    }
    Keys raw_keys(keys);
    std::vector<const char*> pointers;
    std::vector<std::size_t> sizes;
    uint64_t bytes = 0;
    for (std::string_view value : values) {
        pointers.push_back(value.data());
        sizes.push_back(value.size());
        bytes += value.size();
    }
    for (const std::string& key : keys) {
        bytes += key.size();
    }
    operation.add(bytes, [&](const auto& table, void* raw) {
        table.rados_write_op_omap_set2(raw, raw_keys.pointers.data(), pointers.data(),
                                       raw_keys.sizes.data(), sizes.data(), keys.size());
    });
}

void remove_keys(WriteOperation& operation, const std::vector<std::string>& keys) {
    Keys raw_keys(keys);
    operation.add([&](const auto& table, void* raw) {
        table.rados_write_op_omap_rm_keys2(raw, raw_keys.pointers.data(), raw_keys.sizes.data(),
                                           keys.size());
    });
}

void remove_range(WriteOperation& operation, const std::string& first, const std::string& last) {
    operation.add([&](const auto& table, void* raw) {
        table.rados_write_op_omap_rm_range2(raw, first.data(), first.size(), last.data(),
                                            last.size());
    });
}

void clear(WriteOperation& operation) {
    operation.add([&](const auto& table, void* raw) { table.rados_write_op_omap_clear(raw); });
}

void compare(WriteOperation& operation, const std::string& key, std::string_view value,
             uint8_t comparison) {
    operation.add([&](const auto& table, void* raw) {
        table.rados_write_op_omap_cmp2(raw, key.data(), comparison, value.data(), key.size(),
                                       value.size(), nullptr);
    });
}

}  // namespace rbdxx::rados::omap
