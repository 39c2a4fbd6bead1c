#include <rbdxx/copy.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx::copy {

void create(const Image& image, const IoCtx& ioctx, const std::string& name,
            const ImageOptions& options, uint64_t sparse_size, const Progress& progress) {
    auto use = image.use();
    auto pool = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_copy_with_progress4(use.get(), pool.get(), name.c_str(), handle.get(),
                                       report_progress, progress_argument(progress), sparse_size),
          [&] { return "error copying " + image.describe() + " to " + quoted(name); });
}

void into(const Image& image, const Image& destination, const Progress& progress) {
    auto use = image.use();
    auto target = destination.use();
    check(use->rbd_copy_with_progress2(use.get(), target.get(), report_progress,
                                       progress_argument(progress)),
          [&] { return "error copying " + image.describe() + " into " + destination.describe(); });
}

void deep(const Image& image, const IoCtx& ioctx, const std::string& name,
          const ImageOptions& options, const Progress& progress) {
    auto use = image.use();
    auto pool = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_deep_copy_with_progress(use.get(), pool.get(), name.c_str(), handle.get(),
                                           report_progress, progress_argument(progress)),
          [&] { return "error copying " + image.describe() + " deeply to " + quoted(name); });
}

}  // namespace rbdxx::copy
