#include <rbdxx/rados/object.hpp>

#include <rbdxx/engine.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx::rados::object {

namespace {

// Error numbers end here. Below it, a comparison reports the place of the difference.
constexpr int max_errno = 4095;

std::string doing(const char* what, const Use<IoCtxState>& call, const std::string& name) {
    return std::string("error ") + what + " " + call.state().object(name);
}

int checked_call(int result, const char* what, const Use<IoCtxState>& call,
                 const std::string& name) {
    return check<RadosError>(result, [&] { return doing(what, call, name); });
}

}  // namespace

void require_size(const Use<IoCtxState>& call, std::size_t size, const char* what,
                  const std::string& name) {
    if (size > most_bytes) {
        throw RadosError(E2BIG, doing(what, call, name) + ": at most " +
                                    std::to_string(most_bytes) + " bytes go in one call, not " +
                                    std::to_string(size));
    }
}

std::size_t read(const IoCtx& ioctx, const std::string& name, char* data, std::size_t size,
                 uint64_t offset) {
    auto call = ioctx.connected();
    if (size == 0) {
        // With a size of 0, librados reads the whole object, which then does not fit.
        checked_call(call->rados_stat(call.get(), name.c_str(), nullptr, nullptr), "reading", call,
                     name);
        return 0;
    }
    const std::size_t asked = size < most_bytes ? size : most_bytes;
    const engine::Counted counted(call.state().lane(), asked);
    return static_cast<std::size_t>(checked_call(
        call->rados_read(call.get(), name.c_str(), data, asked, offset), "reading", call, name));
}

void write(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
           uint64_t offset) {
    auto call = ioctx.connected();
    require_size(call, size, "writing to", name);
    const engine::Counted counted(call.state().lane(), size);
    checked_call(call->rados_write(call.get(), name.c_str(), data, size, offset), "writing to",
                 call, name);
}

void write_full(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size) {
    auto call = ioctx.connected();
    require_size(call, size, "writing", name);
    const engine::Counted counted(call.state().lane(), size);
    checked_call(call->rados_write_full(call.get(), name.c_str(), data, size), "writing", call,
                 name);
}

void append(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size) {
    auto call = ioctx.connected();
    require_size(call, size, "appending to", name);
    const engine::Counted counted(call.state().lane(), size);
    checked_call(call->rados_append(call.get(), name.c_str(), data, size), "appending to", call,
                 name);
}

void write_same(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                std::size_t total, uint64_t offset) {
    auto call = ioctx.connected();
    require_size(call, size, "writing to", name);
    require_size(call, total, "writing to", name);
    const engine::Counted counted(call.state().lane(), size);
    checked_call(call->rados_writesame(call.get(), name.c_str(), data, size, total, offset),
                 "writing to", call, name);
}

void truncate(const IoCtx& ioctx, const std::string& name, uint64_t size) {
    auto call = ioctx.connected();
    checked_call(call->rados_trunc(call.get(), name.c_str(), size), "truncating", call, name);
}

void remove(const IoCtx& ioctx, const std::string& name) {
    auto call = ioctx.connected();
    checked_call(call->rados_remove(call.get(), name.c_str()), "removing", call, name);
}

Status status(const IoCtx& ioctx, const std::string& name) {
    auto call = ioctx.connected();
    Status found;
    checked_call(call->rados_stat(call.get(), name.c_str(), &found.size, &found.modified),
                 "getting the status of", call, name);
    return found;
}

Comparison compare(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                   uint64_t offset) {
    auto call = ioctx.connected();
    require_size(call, size, "comparing", name);
    const engine::Counted counted(call.state().lane(), size);
    const int result = call->rados_cmpext(call.get(), name.c_str(), data, size, offset);
    if (result <= -max_errno) {
        return {false, static_cast<uint64_t>(-(result + max_errno))};
    }
    checked_call(result, "comparing", call, name);
    return {};
}

int execute(const IoCtx& ioctx, const std::string& name, const std::string& cls,
            const std::string& method, const char* input, std::size_t input_size, char* output,
            std::size_t output_size) {
    auto call = ioctx.connected();
    require_size(call, input_size, "executing a method on", name);
    const engine::Counted counted(call.state().lane(), input_size);
    return check<RadosError>(call->rados_exec(call.get(), name.c_str(), cls.c_str(), method.c_str(),
                                              input, input_size, output, output_size),
                             [&] {
                                 return "error executing method " + quoted(cls + "." + method) +
                                        " on " + call.state().object(name);
                             });
}

}  // namespace rbdxx::rados::object
