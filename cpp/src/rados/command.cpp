#include <rbdxx/rados/command.hpp>

namespace rbdxx::rados::command {

namespace {

// The two buffers of an answer, which librados allocates and this frees.
struct Answer {
    explicit Answer(const abi::Functions& table) : functions(table) {}
    ~Answer() {
        functions.rados_buffer_free(output);
        functions.rados_buffer_free(status);
    }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
    Reply reply(int result) const {
        return {result, output != nullptr ? std::string(output, output_size) : std::string(),
                status != nullptr ? std::string(status, status_size) : std::string()};
    }

    const abi::Functions& functions;
    char* output = nullptr;
    char* status = nullptr;
    std::size_t output_size = 0;
    std::size_t status_size = 0;
};

}  // namespace

Reply send(const Use<ClusterState>& call, const Daemon& daemon, const std::string& command,
           const std::string& input) {
    const char* commands[] = {command.c_str()};
    const char* name = daemon.name.c_str();
    Answer answer(call.functions());
    // The last arguments of each of these calls.
    auto with_rest = [&](const auto& function, auto... target) {
        return answer.reply(function(call.get(), target..., commands, 1, input.data(), input.size(),
                                     &answer.output, &answer.output_size, &answer.status,
                                     &answer.status_size));
    };
    switch (daemon.kind) {
        case Daemon::Kind::monitor:
            return daemon.name.empty() ? with_rest(call->rados_mon_command)
                                       : with_rest(call->rados_mon_command_target, name);
        case Daemon::Kind::manager:
            return daemon.name.empty() ? with_rest(call->rados_mgr_command)
                                       : with_rest(call->rados_mgr_command_target, name);
        case Daemon::Kind::osd:
            return with_rest(call->rados_osd_command, daemon.number);
        case Daemon::Kind::group:
            break;
    }
    return with_rest(call->rados_pg_command, name);
}

}  // namespace rbdxx::rados::command
