// Asynchronous calls on objects: each submits an operation, which reports to a queue once librados
// has completed it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rbdxx/engine.hpp>
#include <rbdxx/rados/ioctx.hpp>
#include <rbdxx/rados/object.hpp>
#include <rbdxx/rados/omap.hpp>
#include <rbdxx/rados/operation.hpp>

namespace rbdxx::rados::aio {

// The completions of librados.
struct Librados {
    using Context = abi::Functions;
    // Throws MissingFunction if the library has no completions.
    static void require(const Context& functions);
    // As engine::Librbd.
    static int create(const Context& functions, void* argument, engine::Completed completed,
                      void** completion) noexcept {
        return functions.rados_aio_create_completion(argument, completed, nullptr, completion);
    }
    // As engine::Librbd.
    static ssize_t result(const Context& functions, void* completion) noexcept {
        return functions.rados_aio_get_return_value(completion);
    }
    // As engine::Librbd.
    static void release(const Context& functions, void* completion, bool /*submitted*/) noexcept {
        functions.rados_aio_release(completion);
    }
};

// Each call submits `operation`, which reaches `queue` once it has completed. Any thread may call
// them. They return at once, but librados makes the thread wait if too many calls are in flight
// over the connection, unless the operation has never_wait(). Offsets and sizes are bytes. Without
// another word, an operation completes with 0, or with a negative errno if it failed.
//
// The caller keeps the operation, the names, the buffers and the results until the operation has
// completed. The context need not be kept; its close() waits for the operation. Each call throws
// ClosedError, MissingFunction, or RadosError if librados refuses it; then the operation never
// completes.

// Reads at most object::most_bytes. Completes with the number of bytes read, fewer than `size` at
// the end of the object; with -ENOENT if there is no such object. Implements: rados_aio_read
void read(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, char* data, std::size_t size, uint64_t offset);
// Writes at `offset`; as object::write(). Implements: rados_aio_write
void write(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
           const std::string& object, const char* data, std::size_t size, uint64_t offset);
// Replaces the object's data; as object::write_full(). Implements: rados_aio_write_full
void write_full(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size);
// Writes at the end of the object. Implements: rados_aio_append
void append(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size);
// Writes `data` again and again over `total` bytes, a multiple of `size`.
// Implements: rados_aio_writesame
void write_same(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size, std::size_t total,
                uint64_t offset);
// Removes the object. Completes with -ENOENT if there is none. Implements: rados_aio_remove
void remove(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object);
// Fills `*status`. Completes with -ENOENT if there is no such object. Implements: rados_aio_stat
void stat(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, object::Status* status);
// Compares. Completes with 0 if the object holds these bytes at `offset`, or with -4095 minus the
// distance of the first difference from `offset`. Implements: rados_aio_cmpext
void compare(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const char* data, std::size_t size, uint64_t offset);
// Sets an attribute. Implements: rados_aio_setxattr
void set_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
               const std::string& object, const std::string& name, const char* value,
               std::size_t size);
// Removes an attribute. Implements: rados_aio_rmxattr
void remove_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                  const std::string& object, const std::string& name);

// The memory of an execute() under way, and its result.
struct Execution {
    // For an operation that has completed with `completed`: returns the number of bytes of output,
    // what the method returned if it has no output, or -ERANGE if the output had no room.
    ssize_t result(ssize_t completed) const noexcept;

    ReadOperation operation;
    std::size_t used = 0;
    int code = 0;
};
// Runs a method of an OSD class on the object, with room for `output_size` bytes of output. Unlike
// rados_aio_exec, it does not write beyond that room. Execution::result() has the result.
// Implements: rados_read_op_exec_user_buf, rados_aio_read_op_operate
void execute(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const std::string& cls, const std::string& method,
             const char* input, std::size_t input_size, char* output, std::size_t output_size,
             Execution& execution);

// The results of operate() and the C operation, which are kept until it has completed.
struct Operated {
    // Makes the results readable. To be called once the operation has completed with success.
    void succeed() const noexcept;

    std::shared_ptr<void> operation;
    std::vector<std::shared_ptr<omap::Result>> results;
};
// Submits a write operation; as WriteOperation::operate(). Implements: rados_aio_write_op_operate
void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, WriteOperation& parts,
             const std::optional<std::time_t>& modified, int flags, Operated& operated);
// Submits a read operation; as ReadOperation::operate(). Implements: rados_aio_read_op_operate
void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, ReadOperation& parts, int flags, Operated& operated);

// Returns once every write that was submitted through the context has completed. Throws RadosError.
// Implements: rados_aio_flush_async
void flush(const IoCtx& ioctx);

}  // namespace rbdxx::rados::aio
