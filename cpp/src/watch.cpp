#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/watch.hpp>

namespace rbdxx::watch {

std::vector<Watcher> list(const Image& image) {
    auto use = image.use();
    auto records = sized_records<abi::rbd_image_watcher_t>(
        [&](auto* array, std::size_t* count) {
            return use->rbd_watchers_list(use.get(), array, count);
        },
        [&] { return "error listing watchers of " + image.describe(); }, std::size_t{8});
    Records<abi::rbd_image_watcher_t> owned(std::move(records),
                                            use.functions().rbd_watchers_list_cleanup);
    std::vector<Watcher> watchers;
    for (const auto& record : owned) {
        watchers.push_back({text_of(record.addr), record.id, record.cookie});
    }
    return watchers;
}

}  // namespace rbdxx::watch
