#include <rbdxx/rados/aio.hpp>

#include <rbdxx/error.hpp>

#include <cstdlib>
#include <mutex>
#include <utility>

namespace rbdxx::rados::aio {

void Librados::require(const Context& functions) {
    functions.rados_aio_create_completion.require();
    functions.rados_aio_get_return_value.require();
    functions.rados_aio_release.require();
}

namespace {

// A program's counted calls use one part in `share` of librados' budget. The rest is for calls that
// are not counted, such as those of other threads.
constexpr uint64_t share = 4;

// Returns a share of an option's number; 0 if the option is 0 or not a number.
uint64_t share_of(const ClusterState& cluster, const char* option) {
    const abi::Functions& functions = *cluster.functions;
    char text[32] = {};
    if (!functions.rados_conf_get ||
        functions.rados_conf_get(cluster.raw, option, text, sizeof text) < 0) {
        return 0;
    }
    const uint64_t number = std::strtoull(text, nullptr, 10);
    return number > 0 && number < share ? 1 : number / share;
}

const std::shared_ptr<engine::Lane>& lane_of(ClusterState& cluster) {
    std::call_once(cluster.lane_flag, [&] {
        cluster.lane =
            std::make_shared<engine::Lane>(share_of(cluster, "objecter_inflight_ops"),
                                           share_of(cluster, "objecter_inflight_op_bytes"));
    });
    return cluster.lane;
}

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
    ClusterState* cluster = use.state().cluster.get();
    if (operation.may_wait() || cluster == nullptr) {
        operation.submit<Librados, RadosError>(std::move(queue), ioctx.state(), functions, submit,
                                               describe);
    } else {
        operation.submit_by<Librados, RadosError>(lane_of(*cluster), bytes,
                                                  cluster->others.load() > 0, std::move(queue),
                                                  ioctx.state(), functions, submit, describe);
    }
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
    submit(operation, std::move(queue), ioctx, use, object, "comparing", 0,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               return functions.rados_aio_cmpext(io, key, completion, data, size, offset);
           });
}

void set_xattr(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
               const std::string& object, const std::string& name, const char* value,
               std::size_t size) {
    auto use = ioctx.connected();
    object::require_size(use, size, "setting an attribute of", object);
    submit(operation, std::move(queue), ioctx, use, object, "setting an attribute of", 0,
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
        submit(operation, std::move(queue), ioctx, use, object, "executing a method on", 0,
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
             const std::string& object, const WriteOperation& parts,
             const std::optional<std::time_t>& modified, int flags, Operated& operated) {
    auto held = parts.state();
    auto use = ioctx.connected();
    operated.operation = held;
    {
        std::lock_guard<std::mutex> lock(held->mutex);
        held->empty = true;  // librados takes the parts
    }
    submit(operation, std::move(queue), ioctx, use, object, "operating on", 0,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               std::lock_guard<std::mutex> lock(held->mutex);
               // librados reads the time during this call only.
               std::time_t time = modified.value_or(0);
               return functions.rados_aio_write_op_operate(held->raw, io, completion, key,
                                                           modified ? &time : nullptr, flags);
           });
}

void operate(engine::Operation& operation, engine::QueuePointer queue, const IoCtx& ioctx,
             const std::string& object, const ReadOperation& parts, int flags, Operated& operated) {
    auto held = parts.state();
    auto use = ioctx.connected();
    operated.operation = held;
    {
        std::lock_guard<std::mutex> lock(held->mutex);
        // librados takes the parts: a second run does not have them.
        operated.results = std::move(held->results);
        held->results.clear();
        held->empty = true;
    }
    submit(operation, std::move(queue), ioctx, use, object, "operating on", 0,
           [=, key = object.c_str()](const auto& functions, auto io, auto completion) {
               std::lock_guard<std::mutex> lock(held->mutex);
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
    check<RadosError>(Flush().run(use), [&] { return "error flushing " + use.state().place(); });
}

}  // namespace rbdxx::rados::aio
