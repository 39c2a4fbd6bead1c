#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/pool.hpp>

namespace rbdxx::pool {

void init(const IoCtx& ioctx, bool force) {
    auto use = ioctx.use();
    check(use->rbd_pool_init(use.get(), force),
          [&] { return "error initializing images" + ioctx.place(); });
}

Statistics statistics(const IoCtx& ioctx) {
    auto use = ioctx.use();
    const auto& functions = use.functions();
    struct Handle {
        const abi::Functions& functions;
        abi::rbd_pool_stats_t raw = nullptr;
        explicit Handle(const abi::Functions& table) : functions(table) {
            functions.rbd_pool_stats_create(&raw);
        }
        ~Handle() { functions.rbd_pool_stats_destroy(raw); }
    } handle(functions);
    Statistics statistics;
    auto want = [&](int option, uint64_t& value) {
        check(functions.rbd_pool_stats_option_add_uint64(handle.raw, option, &value), [&] {
            return "error asking for statistic " + std::to_string(option) + ioctx.place();
        });
    };
    want(constants::POOL_STAT_OPTION_IMAGES, statistics.images);
    want(constants::POOL_STAT_OPTION_IMAGE_PROVISIONED_BYTES, statistics.image_provisioned_bytes);
    want(constants::POOL_STAT_OPTION_IMAGE_MAX_PROVISIONED_BYTES,
         statistics.image_max_provisioned_bytes);
    want(constants::POOL_STAT_OPTION_IMAGE_SNAPSHOTS, statistics.image_snapshots);
    want(constants::POOL_STAT_OPTION_TRASH_IMAGES, statistics.trash_images);
    want(constants::POOL_STAT_OPTION_TRASH_PROVISIONED_BYTES, statistics.trash_provisioned_bytes);
    want(constants::POOL_STAT_OPTION_TRASH_MAX_PROVISIONED_BYTES,
         statistics.trash_max_provisioned_bytes);
    want(constants::POOL_STAT_OPTION_TRASH_SNAPSHOTS, statistics.trash_snapshots);
    check(functions.rbd_pool_stats_get(use.get(), handle.raw),
          [&] { return "error getting the statistics of images" + ioctx.place(); });
    return statistics;
}

}  // namespace rbdxx::pool
