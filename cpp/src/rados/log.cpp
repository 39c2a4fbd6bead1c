#include <rbdxx/rados/log.hpp>

#include <rbdxx/error.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace rbdxx::rados::log {

namespace {

void tell(void* listener, Entry&& entry) {
    try {
        (*static_cast<const Listener*>(listener))(std::move(entry));
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory for the entry
    }
}

std::string text(const char* given) {
    return given != nullptr ? given : "";
}

void hear(void* listener, const char* line, const char* who, uint64_t seconds, uint64_t nanoseconds,
          uint64_t sequence, const char* level, const char* message) {
    tell(listener, {text(line),
                    {},
                    {},
                    text(who),
                    seconds,
                    nanoseconds,
                    sequence,
                    text(level),
                    text(message)});
}

void hear_full(void* listener, const char* line, const char* channel, const char* who,
               const char* name, uint64_t seconds, uint64_t nanoseconds, uint64_t sequence,
               const char* level, const char* message) {
    tell(listener, {text(line), text(channel), text(name), text(who), seconds, nanoseconds,
                    sequence, text(level), text(message)});
}

}  // namespace

void listen(const Cluster& cluster, const std::string& level, Listener listener, Form form) {
    auto call = cluster.connected();
    ClusterState& state = call.state();
    const bool heard = listener != nullptr;
    auto kept = heard ? std::make_shared<Listener>(std::move(listener)) : nullptr;
    std::shared_ptr<const void> before;
    {
        std::lock_guard<std::mutex> lock(state.log_mutex);
        const int result = form == Form::full
                               ? call->rados_monitor_log2(call.get(), level.c_str(),
                                                          heard ? hear_full : nullptr, kept.get())
                               : call->rados_monitor_log(call.get(), level.c_str(),
                                                         heard ? hear : nullptr, kept.get());
        check<RadosError>(result, [&] {
            return "error listening to the cluster's log at level " + quoted(level);
        });
        before = std::exchange(state.log_listener, std::move(kept));
    }
}

}  // namespace rbdxx::rados::log
