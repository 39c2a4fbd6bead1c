// Calls of C functions that ask for a larger buffer. Sizes are bytes unless a `unit` is given.
#pragma once

#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx {

// The loops end here: a library that asks for more than this is broken or hostile.
inline constexpr int sized_attempts = 64;
inline constexpr std::size_t sized_limit = std::size_t{1} << 28;  // bytes

// Calls `attempt(size)` until it does not return -ERANGE. The call may enlarge `size` to what it
// needs; if it does not, the size is doubled. Sizes count items of `unit` bytes. Returns what the
// last call returned, -ERANGE once a limit is reached.
template <class Size, class Attempt>
auto until_sized(Size size, const Attempt& attempt, std::size_t unit = 1) {
    for (int i = 0;; ++i) {
        Size asked = size;
        auto result = attempt(size);
        if (result != -ERANGE || i == sized_attempts) {
            return result;
        }
        if (size <= asked) {
            size = asked > 0 ? asked * 2 : 64;
        }
        if (static_cast<std::size_t>(size) > sized_limit / unit) {
            return result;
        }
    }
}

// Returns the NUL-terminated string that `call(buffer, &size)` writes. Throws E, with the message
// that `describe()` returns, if the call fails.
template <class E = Error, class Call, class Describe>
std::string sized_string(const Call& call, const Describe& describe, std::size_t first = 256) {
    std::string text;
    check<E>(until_sized(first,
                         [&](std::size_t& size) {
                             text.assign(size, '\0');
                             return call(text.data(), &size);
                         }),
             describe);
    text.resize(std::char_traits<char>::length(text.c_str()));
    return text;
}

// Returns the records of type T that `call(array, &count)` writes. The caller frees what the
// records point to. Throws E if the call fails, and LogicFault if it returns a count larger than
// the array.
template <class T, class E = Error, class Size = std::size_t, class Call, class Describe>
std::vector<T> sized_records(const Call& call, const Describe& describe, Size first = 32) {
    std::vector<T> records;
    Size count = 0;
    check<E>(until_sized(
                 first,
                 [&](Size& size) {
                     records.assign(static_cast<std::size_t>(size), T{});
                     auto result = call(records.data(), &size);
                     count = size;
                     return result;
                 },
                 sizeof(T)),
             describe);
    if (static_cast<std::size_t>(count) > records.size()) {
        throw LogicFault(describe() + ": more entries than the array holds");
    }
    records.resize(static_cast<std::size_t>(count));
    return records;
}

// Returns a C string as a string, an empty one for null.
inline std::string text_of(const char* text) {
    return text != nullptr ? text : "";
}

// Records that a clean-up function of the C library must free. The destructor calls it.
template <class T>
class Records {
public:
    template <class Cleanup>
    Records(std::vector<T> records, const Cleanup& cleanup)
        : records_(std::move(records)), cleanup_([&cleanup](T* array, std::size_t count) {
              using Count = typename CountOf<Cleanup>::type;
              cleanup(array, static_cast<Count>(count));
          }) {}
    ~Records() {
        // The library frees the storage of an empty array too: never pass null to it.
        if (!records_.empty()) {
            cleanup_(records_.data(), records_.size());
        }
    }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    auto begin() const { return records_.begin(); }
    auto end() const { return records_.end(); }
    std::size_t size() const { return records_.size(); }

private:
    template <class F>
    struct CountOf;
    template <class R, class A, class C>
    struct CountOf<Function<R(A, C)>> {
        using type = C;
    };

    std::vector<T> records_;
    std::function<void(T*, std::size_t)> cleanup_;
};

// Returns the strings of a buffer in which each one ends with a NUL.
std::vector<std::string> split_names(const std::string& buffer, std::size_t length);

// Returns the pairs of two such buffers, in which a string may be empty. A used length beyond a
// buffer's end counts as the buffer's length.
std::vector<std::pair<std::string, std::string>> join_pairs(const std::string& keys,
                                                            std::size_t keys_used,
                                                            const std::string& values,
                                                            std::size_t values_used);

// Returns the names that `call(buffer, &size)` writes as NUL-terminated strings; it sets `size` to
// their length. Throws E if the call fails.
template <class E = Error, class Call, class Describe>
std::vector<std::string> sized_names(const Call& call, const Describe& describe,
                                     std::size_t first = 1024) {
    std::string buffer;
    std::size_t used = 0;
    check<E>(until_sized(first,
                         [&](std::size_t& size) {
                             buffer.assign(size, '\0');
                             auto answer = call(buffer.data(), &size);
                             used = size;
                             return answer;
                         }),
             describe);
    return split_names(buffer, used < buffer.size() ? used : buffer.size());
}

// Returns the pairs of key and value that `call(keys, &keys_size, values, &values_size)` writes
// into two buffers of NUL-terminated strings. A value may be empty. Throws E if the call fails.
template <class E = Error, class Call, class Describe>
std::vector<std::pair<std::string, std::string>> sized_pairs(const Call& call,
                                                             const Describe& describe,
                                                             std::size_t first = 4096) {
    std::string keys;
    std::string values;
    std::size_t keys_used = 0;
    std::size_t values_used = first;
    check<E>(until_sized(first,
                         [&](std::size_t& size) {
                             std::size_t values_size = values_used > size ? values_used : size;
                             keys.assign(size, '\0');
                             values.assign(values_size, '\0');
                             values_used = values_size;
                             keys_used = size;
                             auto answer =
                                 call(keys.data(), &keys_used, values.data(), &values_used);
                             // Either buffer may have been the small one.
                             size = keys_used > values_used ? keys_used : values_used;
                             return answer;
                         }),
             describe);
    return join_pairs(keys, keys_used, values, values_used);
}

}  // namespace rbdxx
