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

// The owner of a C operation: create() makes it, release() frees it, each once. Thread-safe: parts
// are added one after the other.
template <class Kind>
class Operation {
public:
    // The C operation and its results. An operation under way owns a share.
    struct State {
        State(const abi::Functions& table, void* operation) : functions(&table), raw(operation) {}
        ~State() { Kind::release(*functions, raw); }
        State(const State&) = delete;
        State& operator=(const State&) = delete;

        const abi::Functions* const functions;
        void* const raw;   // a rados_write_op_t or rados_read_op_t
        std::mutex mutex;  // held while a part is added
        std::vector<std::shared_ptr<omap::Result>> results;
        bool empty = true;   // there is no part
        uint64_t bytes = 0;  // of the data of all parts
    };

    // Creates the C operation. Throws RadosArgumentError if there is one already.
    void create();
    // Frees the C operation, once no call uses it. Throws RadosArgumentError if there is none.
    void release();
    // As release(), but does nothing if there is none.
    void release_if_created() noexcept { std::atomic_exchange(&state_, std::shared_ptr<State>()); }
    // Returns the C operation and its results. Throws RadosArgumentError if there is none.
    std::shared_ptr<State> state() const;

    // Returns the C operation, its parts and results, to be performed once. Leaves a new one
    // without parts in its place. Throws RadosArgumentError if there is none.
    std::shared_ptr<State> take();

    // Adds a part with so many bytes of data: calls `part(functions, raw)` while no other part is
    // added.
    template <class Part>
    void add(uint64_t bytes, const Part& part) {
        auto held = state();
        std::lock_guard<std::mutex> lock(held->mutex);
        part(*held->functions, held->raw);
        held->empty = false;
        held->bytes += bytes;
    }
    template <class Part>
    void add(const Part& part) {
        add(0, part);
    }
    // As add(), for a part that fills `result`.
    template <class Part>
    void add_result(const std::shared_ptr<omap::Result>& result, const Part& part) {
        auto held = state();
        std::lock_guard<std::mutex> lock(held->mutex);
        held->results.push_back(result);
        part(*held->functions, held->raw);
        held->empty = false;
    }
    // Changes the part that was added last: calls `change(functions, raw)`. Throws
    // RadosArgumentError if there is none, because librados would end the process.
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
    static std::shared_ptr<State> make();
    [[noreturn]] static void throw_missing();
    [[noreturn]] static void throw_empty();

    std::shared_ptr<State> state_;
};

// How to create and free a write operation.
struct WriteKind {
    // Returns a new C operation, or null.
    static void* create(const abi::Functions& table);
    // Frees a C operation.
    static void release(const abi::Functions& table, void* raw) noexcept;
};
// How to create and free a read operation.
struct ReadKind {
    // Returns a new C operation, or null.
    static void* create(const abi::Functions& table);
    // Frees a C operation.
    static void release(const abi::Functions& table, void* raw) noexcept;
};

extern template class Operation<WriteKind>;
extern template class Operation<ReadKind>;

// An operation that writes data, attributes and the omap. Sizes and offsets are bytes; data is
// copied. Each call adds a part, and throws RadosArgumentError if there is no C operation.
class WriteOperation : public Operation<WriteKind> {
public:
    // Sets constants::OP_FLAG_* of the part that was added last. Throws RadosArgumentError if there
    // is none. Implements: rados_write_op_set_flags
    void set_flags(int flags);
    // Creates the object. `exclusive` is constants::CREATE_EXCLUSIVE, with which the operation
    // fails with EEXIST if the object exists, or CREATE_IDEMPOTENT. Implements:
    // rados_write_op_create
    void create_object(int exclusive);
    // Makes the operation fail unless the object has this version: with ERANGE if its version is
    // lower, with EOVERFLOW if it is higher. Implements: rados_write_op_assert_version
    void assert_version(uint64_t version);
    // Makes the operation fail unless the object holds this data at `offset`.
    // Implements: rados_write_op_cmpext
    void compare(const char* data, std::size_t size, uint64_t offset);
    // Writes at `offset`. Implements: rados_write_op_write
    void write(const char* data, std::size_t size, uint64_t offset);
    // Replaces the object's whole data. Implements: rados_write_op_write_full
    void write_full(const char* data, std::size_t size);
    // Writes `data` again and again over `total` bytes. Implements: rados_write_op_writesame
    void write_same(const char* data, std::size_t size, std::size_t total, uint64_t offset);
    // Writes at the end of the object. Implements: rados_write_op_append
    void append(const char* data, std::size_t size);
    // Removes the object. Implements: rados_write_op_remove
    void remove();
    // Sets the object's size. Implements: rados_write_op_truncate
    void truncate(uint64_t size);
    // Writes zeroes. Throws RadosArgumentError for a length of 0, because OSDs of some releases
    // crash for it. Implements: rados_write_op_zero
    void zero(uint64_t offset, uint64_t length);
    // Sets an attribute. Implements: rados_write_op_setxattr
    void set_xattr(const std::string& name, const char* value, std::size_t size);
    // Removes an attribute. Implements: rados_write_op_rmxattr
    void remove_xattr(const std::string& name);
    // Runs a method of an OSD class. Implements: rados_write_op_exec
    void execute(const std::string& cls, const std::string& method, const char* input,
                 std::size_t size);

    // Performs the operation on an object: all parts, or none. `modified` becomes the object's
    // time, in seconds since 1970; nothing means now. `flags`: constants::OPERATION_*. Throws
    // RadosError if a part fails; a code of 4095 or more is that of a comparison: 4095 plus the
    // offset of the first difference. Implements: rados_write_op_operate
    void operate(const IoCtx& ioctx, const std::string& object,
                 const std::optional<std::time_t>& modified, int flags);
};

// An operation that reads and compares. See omap.hpp for more parts.
class ReadOperation : public Operation<ReadKind> {
public:
    // Sets constants::OP_FLAG_* of the part that was added last. Throws RadosArgumentError if there
    // is none. Implements: rados_read_op_set_flags
    void set_flags(int flags);
    // Makes the operation fail unless the object holds this data at `offset`.
    // Implements: rados_read_op_cmpext
    void compare(const char* data, std::size_t size, uint64_t offset);
    // Performs the operation on an object. `flags`: constants::OPERATION_*. Throws RadosError as
    // WriteOperation::operate() does. Implements: rados_read_op_operate
    void operate(const IoCtx& ioctx, const std::string& object, int flags);
};

}  // namespace rbdxx::rados
