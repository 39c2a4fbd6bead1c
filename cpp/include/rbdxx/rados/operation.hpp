// Operations of several parts on one object, which take effect together or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/rados/ioctx.hpp>
#include <rbdxx/rados/omap.hpp>

namespace rbdxx::rados {

// The owner of a C operation: made by create(), given up by release(), each once. Thread-safe: the
// parts are put in one after the other.
template <class Kind>
class Operation {
public:
    // The C operation and what it fills; an operation under way owns a share.
    struct State {
        State(const abi::Functions& table, void* operation) : functions(&table), raw(operation) {}
        ~State() { Kind::release(*functions, raw); }
        State(const State&) = delete;
        State& operator=(const State&) = delete;

        const abi::Functions* const functions;
        void* const raw;   // a rados_write_op_t or rados_read_op_t
        std::mutex mutex;  // held while parts are put in or the operation is submitted
        std::vector<std::shared_ptr<omap::Result>> results;
        bool empty = true;  // librados has no part of it, or has submitted them all
    };

    // Throws RadosArgumentError where it was created already.
    void create();
    // Throws RadosArgumentError where it was never created, or is released.
    void release();
    // As release(), where nothing to release is no error.
    void release_if_created() noexcept { std::atomic_exchange(&state_, std::shared_ptr<State>()); }
    // Throws RadosArgumentError as release() does.
    std::shared_ptr<State> state() const;

    // Calls `part(functions, raw)` while nothing else is put in.
    template <class Part>
    void add(const Part& part) {
        auto held = state();
        std::lock_guard<std::mutex> lock(held->mutex);
        part(*held->functions, held->raw);
        held->empty = false;
    }
    // As add(), of a part that fills `result`.
    template <class Part>
    void add_result(const std::shared_ptr<omap::Result>& result, const Part& part) {
        auto held = state();
        std::lock_guard<std::mutex> lock(held->mutex);
        held->results.push_back(result);
        part(*held->functions, held->raw);
        held->empty = false;
    }
    // Calls `change(functions, raw)`, of the part that was put in last. Throws RadosArgumentError
    // if there is none, because librados ends the process then.
    template <class Change>
    void change_last(const Change& change) {
        auto held = state();
        std::lock_guard<std::mutex> lock(held->mutex);
        if (held->empty) {
            throw_empty();
        }
        change(*held->functions, held->raw);
    }

private:
    [[noreturn]] static void throw_empty();

    std::shared_ptr<State> state_;
};

struct WriteKind {
    static void* create(const abi::Functions& table);
    static void release(const abi::Functions& table, void* raw) noexcept;
};
struct ReadKind {
    static void* create(const abi::Functions& table);
    static void release(const abi::Functions& table, void* raw) noexcept;
};

extern template class Operation<WriteKind>;
extern template class Operation<ReadKind>;

// Bytes and attributes to be written. Sizes and offsets are bytes; data is copied.
class WriteOperation : public Operation<WriteKind> {
public:
    // Implements: rados_write_op_set_flags (flags of the part that was put in last; throws
    // RadosArgumentError if there is none)
    void set_flags(int flags);
    // Implements: rados_write_op_create
    void create_object(int exclusive);
    // Implements: rados_write_op_assert_version
    void assert_version(uint64_t version);
    // Implements: rados_write_op_cmpext
    void compare(const char* data, std::size_t size, uint64_t offset);
    // Implements: rados_write_op_write
    void write(const char* data, std::size_t size, uint64_t offset);
    // Implements: rados_write_op_write_full
    void write_full(const char* data, std::size_t size);
    // Implements: rados_write_op_writesame
    void write_same(const char* data, std::size_t size, std::size_t total, uint64_t offset);
    // Implements: rados_write_op_append
    void append(const char* data, std::size_t size);
    // Implements: rados_write_op_remove
    void remove();
    // Implements: rados_write_op_truncate
    void truncate(uint64_t size);
    // A length of 0 is refused: OSDs of some releases end with it. Implements: rados_write_op_zero
    void zero(uint64_t offset, uint64_t length);
    // Implements: rados_write_op_setxattr
    void set_xattr(const std::string& name, const char* value, std::size_t size);
    // Implements: rados_write_op_rmxattr
    void remove_xattr(const std::string& name);
    // Implements: rados_write_op_exec
    void execute(const std::string& cls, const std::string& method, const char* input,
                 std::size_t size);

    // `modified`: what the object's time is to be, in seconds since 1970; nothing for now. Throws
    // RadosError; a code of 4095 or more tells where a comparison failed.
    // Implements: rados_write_op_operate
    void operate(const IoCtx& ioctx, const std::string& object,
                 const std::optional<std::time_t>& modified, int flags);
};

// What is to be read or compared.
class ReadOperation : public Operation<ReadKind> {
public:
    // Implements: rados_read_op_set_flags (flags of the part that was put in last; throws
    // RadosArgumentError if there is none)
    void set_flags(int flags);
    // Implements: rados_read_op_cmpext
    void compare(const char* data, std::size_t size, uint64_t offset);
    // Implements: rados_read_op_operate
    void operate(const IoCtx& ioctx, const std::string& object, int flags);
};

}  // namespace rbdxx::rados
