#include <rbdxx/rados/aio.hpp>

#include <rbdxx/error.hpp>

#include <utility>

namespace rbdxx::rados::aio {

void Librados::require(const Context& functions) {
    functions.rados_aio_create_completion.require();
    functions.rados_aio_get_return_value.require();
    functions.rados_aio_release.require();
}

namespace {

// Submits `call(functions, ioctx, completion)`. The operation or `use` keeps the context open
// meanwhile. The call may be stored for later, so it may only refer to what lives as long.
template <class Call>
void submit(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const Use<IoCtxState>& use, const std::string& object, const char* doing,
            uint64_t bytes, const Call& call) {
    const abi::Functions& functions = use.functions();
    auto submit = [&functions, raw = use.get(), call](void* completion) -> ssize_t {
        return call(functions, raw, completion);
    };
    auto describe = [&] {
        return std::string("error ") + doing + " " + use.state().object(object);
    };
    const auto& cluster = use.state().cluster;
    const bool shared = cluster != nullptr && cluster->others.load() > 0;
    use.state().submitted_later(operation.submit_by<Librados, RadosError>(
        use.state().lane(), bytes, shared, std::move(queue), ioctx.state(), functions, submit,
        describe));
}

}  // namespace

void read(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "reading", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               if (size == 0) {
                   // With a size of 0, librados would read the whole object, and write it beyond
                   // the memory.
                   return functions.rados_aio_stat(io, key, completion, nullptr, nullptr);
               }
               const std::size_t asked = size < object::most_bytes ? size : object::most_bytes;
               return functions.rados_aio_read(io, key, completion, data, asked, offset);
           });
}

void write(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
           const std::string& object, const char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing to", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing to", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_write(io, key, completion, data, size, offset);
           });
}

void write_full(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_write_full(io, key, completion, data, size);
           });
}

void append(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object, const char* data, std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "appending to", object);
    submit(operation, std::move(queue), ioctx, use, object, "appending to", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_append(io, key, completion, data, size);
           });
}

void write_same(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                const std::string& object, const char* data, std::size_t size, std::size_t total,
                uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "writing to", object);
    object::require_size(use, total, "writing to", object);
    submit(operation, std::move(queue), ioctx, use, object, "writing to", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_writesame(io, key, completion, data, size, total, offset);
           });
}

void remove(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
            const std::string& object) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "removing", 0,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_remove(io, key, completion);
           });
}

void stat(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
          const std::string& object, object::Status* status) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "getting the status of", 0,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_stat(io, key, completion, &status->size,
                                               &status->modified);
           });
}

void compare(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const char* data, std::size_t size, uint64_t offset) {
    auto use = ioctx.connected();
    object::require_size(use, size, "comparing", object);
    submit(operation, std::move(queue), ioctx, use, object, "comparing", size,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_cmpext(io, key, completion, data, size, offset);
           });
}

void set_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
               const std::string& object, const std::string& name, const char* value,
               std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "setting an attribute of", object);
    submit(operation, std::move(queue), ioctx, use, object, "setting an attribute of", size,
           [=, key = object.c_str(), attribute = name.c_str()](const auto& functions, auto io,
                                                               auto completion) {
               return functions.rados_aio_setxattr(io, key, completion, attribute, value, size);
           });
}

void remove_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
                  const std::string& object, const std::string& name) {
    auto use = ioctx.connected();
    submit(operation, std::move(queue), ioctx, use, object, "removing an attribute of", 0,
           [=, key = object.c_str(), attribute = name.c_str()](const auto& functions, auto io,
                                                               auto completion) {
               return functions.rados_aio_rmxattr(io, key, completion, attribute);
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
        submit(operation, std::move(queue), ioctx, use, object, "executing a method on", input_size,
               [raw, key = object.c_str()](const auto& table, auto io, auto completion) {
                   return table.rados_aio_read_op_operate(raw, io, completion, key, 0);
               });
    });
}

void Operated::succeed() const noexcept {
    for (const auto& result : results) {
        result->complete();
    }
}

void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, WriteOperation& parts,
             const std::optional<std::time_t>& modified, int flags, Operated& operated) {
    auto use = ioctx.connected();
    auto held = parts.take();
    operated.operation = held;
    submit(operation, std::move(queue), ioctx, use, object, "operating on", held->bytes,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               // librados reads the time during this call only.
               std::time_t time = modified.value_or(0);
               return functions.rados_aio_write_op_operate(held->raw, io, completion, key,
                                                           modified ? &time : nullptr, flags);
           });
}

void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, ReadOperation& parts, int flags, Operated& operated) {
    auto use = ioctx.connected();
    auto held = parts.take();
    operated.operation = held;
    operated.results = held->results;
    submit(operation, std::move(queue), ioctx, use, object, "operating on", held->bytes,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_read_op_operate(held->raw, io, completion, key, flags);
           });
}

namespace {

// rados_aio_flush returns before librados has reported the last writes. This completes after that.
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
    use.state().submit_waiting();
    check<RadosError>(Flush().run(use), [&] { return "error flushing " + use.state().place(); });
}

}  // namespace rbdxx::rados::aio
