#include <rbdxx/rados/statistics.hpp>

#include <rbdxx/error.hpp>

namespace rbdxx::rados::statistics {

OfCluster of(const Cluster& cluster) {
    auto call = cluster.connected();
    abi::rados_cluster_stat_t values{};
    check<RadosError>(call->rados_cluster_stat(call.get(), &values),
                      [] { return std::string("error getting the cluster's statistics"); });
    return {values.kb, values.kb_used, values.kb_avail, values.num_objects};
}

OfPool of(const IoCtx& ioctx) {
    auto call = ioctx.connected();
    OfPool statistics;
    check<RadosError>(call->rados_ioctx_pool_stat(call.get(), &statistics.values),
                      [&] { return "error getting the statistics of " + call.state().place(); });
    return statistics;
}

}  // namespace rbdxx::rados::statistics
