#include <rbdxx/rados/command.hpp>

namespace rbdxx::rados::command {

namespace {

// Both buffers of an answer, which librados allocates: taken and freed.
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

Reply mon(const Cluster& cluster, const std::string& command, const std::string& input,
          const std::optional<std::string>& target) {
    auto call = cluster.connected();
    const char* commands[] = {command.c_str()};
    Answer answer(call.functions());
    const int result =
        target ? call->rados_mon_command_target(
                     call.get(), target->c_str(), commands, 1, input.data(), input.size(),
                     &answer.output, &answer.output_size, &answer.status, &answer.status_size)
               : call->rados_mon_command(call.get(), commands, 1, input.data(), input.size(),
                                         &answer.output, &answer.output_size, &answer.status,
                                         &answer.status_size);
    return answer.reply(result);
}

}  // namespace rbdxx::rados::command
