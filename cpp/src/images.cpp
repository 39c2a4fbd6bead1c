#include <rbdxx/error.hpp>
#include <rbdxx/images.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::images {

std::vector<Entry> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    auto records = sized_records<abi::rbd_image_spec_t>(
        [&](auto* array, std::size_t* count) { return use->rbd_list2(use.get(), array, count); },
        [&] { return "error listing images" + ioctx.place(); });
    Records<abi::rbd_image_spec_t> owned(std::move(records),
                                         use.functions().rbd_image_spec_list_cleanup);
    std::vector<Entry> entries;
    for (const auto& record : owned) {
        entries.push_back({text_of(record.id), text_of(record.name)});
    }
    return entries;
}

void create(const IoCtx& ioctx, const std::string& name, uint64_t size,
            const ImageOptions& options) {
    auto use = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_create4(use.get(), name.c_str(), size, handle.get()),
          [&] { return "error creating image " + quoted(name) + ioctx.place(); });
}

void create_old(const IoCtx& ioctx, const std::string& name, uint64_t size, int order) {
    auto use = ioctx.use();
    check(use->rbd_create(use.get(), name.c_str(), size, &order),
          [&] { return "error creating image " + quoted(name) + ioctx.place(); });
}

void remove(const IoCtx& ioctx, const std::string& name, const Progress& progress) {
    auto use = ioctx.use();
    auto call = [&] {
        return use->rbd_remove_with_progress(use.get(), name.c_str(), report_progress,
                                             progress_argument(progress));
    };
    check(lock::with_lock(ioctx, {name}, call),
          [&] { return "error removing image " + quoted(name) + ioctx.place(); });
}

void rename(const IoCtx& ioctx, const std::string& source, const std::string& destination) {
    auto use = ioctx.use();
    auto call = [&] { return use->rbd_rename(use.get(), source.c_str(), destination.c_str()); };
    check(lock::with_lock(ioctx, {source}, call), [&] {
        return "error renaming image " + quoted(source) + " to " + quoted(destination) +
               ioctx.place();
    });
}

}  // namespace rbdxx::images
