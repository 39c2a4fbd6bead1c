#include <rbdxx/rados/inconsistent.hpp>

#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::rados::inconsistent {

std::vector<std::string> list(const Cluster& cluster, int64_t pool) {
    auto call = cluster.connected();
    std::string buffer;
    const int used = check<RadosError>(
        until_sized(std::size_t{4096},
                    [&](std::size_t& size) {
                        buffer.assign(size, '\0');
                        const int needed = call->rados_inconsistent_pg_list(
                            call.get(), pool, buffer.data(), buffer.size());
                        if (needed > 0 && static_cast<std::size_t>(needed) > size) {
                            size = static_cast<std::size_t>(needed);
                            return -ERANGE;
                        }
                        return needed;
                    }),
        [&] {
            return "error listing the inconsistent placement groups of pool " +
                   std::to_string(pool);
        });
    return split_names(buffer, static_cast<std::size_t>(used));
}

}  // namespace rbdxx::rados::inconsistent
