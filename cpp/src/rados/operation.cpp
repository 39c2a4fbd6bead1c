#include <rbdxx/rados/operation.hpp>

#include <rbdxx/engine.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/handle.hpp>

namespace rbdxx::rados {

namespace {

constexpr std::size_t most_bytes = 0x7fffffff;

// librados accepts more, but truncates the number.
void require_size(std::size_t size) {
    if (size > most_bytes) {
        throw RadosError(E2BIG, "error putting data into an operation: at most " +
                                    std::to_string(most_bytes) + " bytes go in one part, not " +
                                    std::to_string(size));
    }
}

}  // namespace

void* WriteKind::create(const abi::Functions& table) {
    table.rados_release_write_op.require();
    return table.rados_create_write_op();
}

void WriteKind::release(const abi::Functions& table, void* raw) noexcept {
    table.rados_release_write_op(raw);
}

void* ReadKind::create(const abi::Functions& table) {
    table.rados_release_read_op.require();
    return table.rados_create_read_op();
}

void ReadKind::release(const abi::Functions& table, void* raw) noexcept {
    table.rados_release_read_op(raw);
}

template <class Kind>
std::shared_ptr<typename Operation<Kind>::State> Operation<Kind>::make() {
    const abi::Functions& table = functions();
    void* raw = Kind::create(table);
    return owned([&] { return std::make_shared<State>(table, raw); },
                 [&] { Kind::release(table, raw); });
}

template <class Kind>
void Operation<Kind>::create() {
    std::shared_ptr<State> none;
    if (!std::atomic_compare_exchange_strong(&state_, &none, make())) {
        throw RadosArgumentError("the operation was created already");
    }
}

template <class Kind>
void Operation<Kind>::release() {
    if (std::atomic_exchange(&state_, std::shared_ptr<State>()) == nullptr) {
        throw RadosArgumentError("the operation was never created, or is released already");
    }
}

template <class Kind>
std::shared_ptr<typename Operation<Kind>::State> Operation<Kind>::state() const {
    auto held = std::atomic_load(&state_);
    if (held == nullptr) {
        throw_missing();
    }
    return held;
}

template <class Kind>
std::shared_ptr<typename Operation<Kind>::State> Operation<Kind>::take() {
    const std::shared_ptr<State> fresh = make();
    auto held = state();
    while (!std::atomic_compare_exchange_strong(&state_, &held, fresh)) {
        if (held == nullptr) {
            throw_missing();
        }
    }
    // A thread that adds a part at the same time may have loaded it before.
    std::lock_guard<std::mutex> lock(held->mutex);
    return held;
}

template <class Kind>
void Operation<Kind>::throw_missing() {
    throw RadosArgumentError(
        "the operation was never created, or is released: call create(), or use a with block");
}

template <class Kind>
void Operation<Kind>::throw_empty() {
    throw RadosArgumentError(
        "flags apply to the part that was added last, and the operation does not have any part");
}

template class Operation<WriteKind>;
template class Operation<ReadKind>;

void WriteOperation::set_flags(int flags) {
    change_last([&](const auto& table, void* raw) { table.rados_write_op_set_flags(raw, flags); });
}

void WriteOperation::create_object(int exclusive) {
    add([&](const auto& table, void* raw) {
        table.rados_write_op_create(raw, exclusive, nullptr);
    });
}

void WriteOperation::assert_version(uint64_t version) {
    add([&](const auto& table, void* raw) { table.rados_write_op_assert_version(raw, version); });
}

void WriteOperation::compare(const char* data, std::size_t size, uint64_t offset) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) {
        table.rados_write_op_cmpext(raw, data, size, offset, nullptr);
    });
}

void WriteOperation::write(const char* data, std::size_t size, uint64_t offset) {
    require_size(size);
    add(size,
        [&](const auto& table, void* raw) { table.rados_write_op_write(raw, data, size, offset); });
}

void WriteOperation::write_full(const char* data, std::size_t size) {
    require_size(size);
    add(size,
        [&](const auto& table, void* raw) { table.rados_write_op_write_full(raw, data, size); });
}

void WriteOperation::write_same(const char* data, std::size_t size, std::size_t total,
                                uint64_t offset) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) {
        table.rados_write_op_writesame(raw, data, size, total, offset);
    });
}

void WriteOperation::append(const char* data, std::size_t size) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) { table.rados_write_op_append(raw, data, size); });
}

void WriteOperation::remove() {
    add([&](const auto& table, void* raw) { table.rados_write_op_remove(raw); });
}

void WriteOperation::truncate(uint64_t size) {
    add([&](const auto& table, void* raw) { table.rados_write_op_truncate(raw, size); });
}

void WriteOperation::zero(uint64_t offset, uint64_t length) {
    if (length == 0) {
        throw RadosArgumentError("the length to zero must be at least 1 byte, not 0");
    }
    add([&](const auto& table, void* raw) { table.rados_write_op_zero(raw, offset, length); });
}

void WriteOperation::set_xattr(const std::string& name, const char* value, std::size_t size) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) {
        table.rados_write_op_setxattr(raw, name.c_str(), value, size);
    });
}

void WriteOperation::remove_xattr(const std::string& name) {
    add([&](const auto& table, void* raw) { table.rados_write_op_rmxattr(raw, name.c_str()); });
}

void WriteOperation::execute(const std::string& cls, const std::string& method, const char* input,
                             std::size_t size) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) {
        table.rados_write_op_exec(raw, cls.c_str(), method.c_str(), input, size, nullptr);
    });
}

void WriteOperation::operate(const IoCtx& ioctx, const std::string& object,
                             const std::optional<std::time_t>& modified, int flags) {
    auto call = ioctx.connected();
    const auto held = take();
    const engine::Counted counted(call.state().lane(), held->bytes);
    std::time_t time = modified.value_or(0);
    check<RadosError>(call->rados_write_op_operate(held->raw, call.get(), object.c_str(),
                                                   modified ? &time : nullptr, flags),
                      [&] { return "error operating on " + call.state().object(object); });
}

void ReadOperation::set_flags(int flags) {
    change_last([&](const auto& table, void* raw) { table.rados_read_op_set_flags(raw, flags); });
}

void ReadOperation::compare(const char* data, std::size_t size, uint64_t offset) {
    require_size(size);
    add(size, [&](const auto& table, void* raw) {
        table.rados_read_op_cmpext(raw, data, size, offset, nullptr);
    });
}

void ReadOperation::operate(const IoCtx& ioctx, const std::string& object, int flags) {
    auto call = ioctx.connected();
    const auto held = take();
    const engine::Counted counted(call.state().lane(), held->bytes);
    check<RadosError>(call->rados_read_op_operate(held->raw, call.get(), object.c_str(), flags),
                      [&] { return "error operating on " + call.state().object(object); });
    for (const auto& result : held->results) {
        result->complete();
    }
}

}  // namespace rbdxx::rados
