#include <rbdxx/rados/aio.hpp>

#include <rbdxx/error.hpp>

#include <cerrno>
#include <mutex>
#include <utility>

namespace rbdxx::rados::aio {

void Librados::require(const Context& functions) {
    functions.rados_aio_create_completion.require();
    functions.rados_aio_get_return_value.require();
    functions.rados_aio_release.require();
}

namespace {

// `call(functions, ioctx, completion)`, on a context that `use` keeps open meanwhile.
template <class Call>
void submit(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const Use<IoCtxState>& use, const std::string& object, const char* doing,
            const Call& call) {
    operation.submit<Librados, RadosError>(
        std::move(queue), ioctx.state(), use.functions(),
        [&](void* completion) -> ssize_t { return call(use.functions(), use.get(), completion); },
        [&] { return std::string("error ") + doing + " " + use.state().object(object); });
}

}  // namespace

void read(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "reading",
           [&](const auto& functions, auto io, auto completion) {
               if (size == 0) {
                   // librados takes it for the whole object, and writes that beyond the memory.
                   return functions.rados_aio_stat(io, object.c_str(), completion, nullptr,
                                                   nullptr);
               }
               const std::size_t asked = size < object::most_bytes ? size : object::most_bytes;
               return functions.rados_aio_read(io, object.c_str(), completion, data, asked, offset);
           });
}

void write(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
           const std::string& object, const char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing to", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing to",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_write(io, object.c_str(), completion, data, size, offset);
           });
}

void write_full(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_write_full(io, object.c_str(), completion, data, size);
           });
}

void append(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "appending to", object);
    submit(operation, std::move(queue), ioctx, use, object, "appending to",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_append(io, object.c_str(), completion, data, size);
           });
}

void write_same(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size, std::size_t total,
                uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing to", object);
    object::require_size(use, total, "writing to", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing to",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_writesame(io, object.c_str(), completion, data, size,
                                                    total, offset);
           });
}

void remove(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "removing",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_remove(io, object.c_str(), completion);
           });
}

void stat(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, object::Status* status) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "getting the status of",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_stat(io, object.c_str(), completion, &status->size,
                                               &status->modified);
           });
}

void compare(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "comparing", object);
    submit(operation, std::move(queue), ioctx, use, object, "comparing",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_cmpext(io, object.c_str(), completion, data, size,
                                                 offset);
           });
}

void set_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
               const std::string& object, const std::string& name, const char* value,
               std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "setting an attribute of", object);
    submit(operation, std::move(queue), ioctx, use, object, "setting an attribute of",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_setxattr(io, object.c_str(), completion, name.c_str(),
                                                   value, size);
           });
}

void remove_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                  const std::string& object, const std::string& name) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "removing an attribute of",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_rmxattr(io, object.c_str(), completion, name.c_str());
           });
}

ssize_t Execution::result(ssize_t completed) const noexcept {
    if (completed < 0) {
        return completed;
    }
    if (code < 0) {
        return code;
    }
    return used > 0 ? static_cast<ssize_t>(used) : completed;
}

void execute(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const std::string& cls, const std::string& method,
             const char* input, std::size_t input_size, char* output, std::size_t output_size,
             Execution& execution) {
    auto use = ioctx.connected();
    object::require_size(use, input_size, "executing a method on", object);
    execution.operation.create();
    execution.operation.add([&](const auto& functions, void* raw) {
        functions.rados_read_op_exec_user_buf(raw, cls.c_str(), method.c_str(), input, input_size,
                                              output, output_size, &execution.used,
                                              &execution.code);
        submit(operation, std::move(queue), ioctx, use, object, "executing a method on",
               [&](const auto& table, auto io, auto completion) {
                   return table.rados_aio_read_op_operate(raw, io, completion, object.c_str(), 0);
               });
    });
}

void Operated::succeed() const noexcept {
    for (const auto& result : results) {
        result->complete();
    }
}

void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const WriteOperation& parts,
             const std::optional<std::time_t>& modified, int flags, Operated& operated) {
    auto held = parts.state();
    auto use = ioctx.connected();
    std::lock_guard<std::mutex> lock(held->mutex);
    operated.operation = held;
    held->empty = true;  // librados takes the parts along
    // librados only reads it, and only now.
    std::time_t time = modified.value_or(0);
    submit(operation, std::move(queue), ioctx, use, object, "operating on",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_write_op_operate(
                   held->raw, io, completion, object.c_str(), modified ? &time : nullptr, flags);
           });
}

void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const ReadOperation& parts, int flags, Operated& operated) {
    auto held = parts.state();
    auto use = ioctx.connected();
    std::lock_guard<std::mutex> lock(held->mutex);
    operated.operation = held;
    // librados takes the parts along: a second run has none of them.
    operated.results = std::move(held->results);
    held->results.clear();
    held->empty = true;
    submit(operation, std::move(queue), ioctx, use, object, "operating on",
           [&](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_read_op_operate(held->raw, io, completion, object.c_str(),
                                                          flags);
           });
}

namespace {

// rados_aio_flush returns before librados has told of the last writes; this completes after that.
class Flush final : public engine::Work, private engine::Call {
public:
    Flush() : Work(nullptr) {}
    ~Flush() override { wait(); }

    ssize_t run(const Use<IoCtxState>& use) {
        Librados::require(use.functions());
        begin();
        ssize_t answer = 0;
        try {
            answer = submit_call<Librados>(use.functions(), [&](void* completion) {
                return use->rados_aio_flush_async(use.get(), completion);
            });
        } catch (...) {
            end([] {});
            throw;
        }
        if (answer < 0) {
            end([] {});
            return answer;
        }
        wait();
        return result_;
    }

private:
    void completed(ssize_t result) noexcept override {
        end([&] { result_ = result; });
    }

    ssize_t result_ = 0;
};

}  // namespace

void flush(const IoCtx& ioctx) {
    auto use = ioctx.connected();
    check<RadosError>(Flush().run(use), [&] { return "error flushing " + use.state().place(); });
}

}  // namespace rbdxx::rados::aio
