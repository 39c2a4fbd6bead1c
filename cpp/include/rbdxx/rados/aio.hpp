// Asynchronous calls on objects. Offsets and sizes are bytes; memory belongs to the caller until
// its operation has completed.
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
    // Throws MissingFunction where the library has no completions.
    static void require(const Context& functions);
    static int create(const Context& functions, void* argument, engine::Completed completed,
                      void** completion) noexcept {
        return functions.rados_aio_create_completion(argument, completed, nullptr, completion);
    }
    static ssize_t result(const Context& functions, void* completion) noexcept {
        return functions.rados_aio_get_return_value(completion);
    }
    static void release(const Context& functions, void* completion, bool /*submitted*/) noexcept {
        functions.rados_aio_release(completion);
    }
};

// Each submits `operation`, which reaches `queue` once it has completed. They may be called from
// any thread, and return at once: librados makes that thread wait if too much is in flight over the
// connection, unless the operation is one that never waits.
//
// The caller keeps the operation, the names, the buffers and what results point to until the
// operation has completed. Nothing needs to be kept of the context, whose close() waits for the
// operation. Throws ClosedError, MissingFunction, or RadosError where librados refuses; the
// operation then never completes.

// Completes with the bytes read, fewer at the end of the object. Reads at most object::most_bytes.
// Implements: rados_aio_read
void read(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, char* data, std::size_t size, uint64_t offset);
// Implements: rados_aio_write
void write(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
           const std::string& object, const char* data, std::size_t size, uint64_t offset);
// Implements: rados_aio_write_full
void write_full(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size);
// Implements: rados_aio_append
void append(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size);
// Repeats `data` over `total` bytes, a multiple of its size. Implements: rados_aio_writesame
void write_same(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size, std::size_t total,
                uint64_t offset);
// Implements: rados_aio_remove
void remove(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object);
// Completes with `status` filled. Implements: rados_aio_stat
void stat(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, object::Status* status);
// Completes with 0 where the object holds these bytes, or with -4095 less the offset of the first
// difference. Implements: rados_aio_cmpext
void compare(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const char* data, std::size_t size, uint64_t offset);
// Implements: rados_aio_setxattr
void set_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
               const std::string& object, const std::string& name, const char* value,
               std::size_t size);
// Implements: rados_aio_rmxattr
void remove_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                  const std::string& object, const std::string& name);

// What an execute() under way fills.
struct Execution {
    // Of an operation that has completed with `completed`: how many bytes the method gave, or what
    // it returned where it gave none. ERANGE where the output has no room for them.
    ssize_t result(ssize_t completed) const noexcept;

    ReadOperation operation;
    std::size_t used = 0;
    int code = 0;
};
// Runs a method of a class of the OSDs on the object, with room for `output_size` bytes of output.
// rados_aio_exec writes beyond that room, this does not.
// Implements: rados_read_op_exec_user_buf, rados_aio_read_op_operate
void execute(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const std::string& cls, const std::string& method,
             const char* input, std::size_t input_size, char* output, std::size_t output_size,
             Execution& execution);

// What operate() fills, and the C operation, which are kept until it has completed.
struct Operated {
    // The operation has completed with success: what it has read can be taken.
    void succeed() const noexcept;

    std::shared_ptr<void> operation;
    std::vector<std::shared_ptr<omap::Result>> results;
};
// As WriteOperation::operate(). Implements: rados_aio_write_op_operate
void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const WriteOperation& parts,
             const std::optional<std::time_t>& modified, int flags, Operated& operated);
// As ReadOperation::operate(). Implements: rados_aio_read_op_operate
void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const ReadOperation& parts, int flags, Operated& operated);

// Returns when every write submitted through the context so far is complete.
// Implements: rados_aio_flush_async
void flush(const IoCtx& ioctx);

}  // namespace rbdxx::rados::aio
