#include <rbdxx/clone.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx::clone {

namespace {

std::string describe(const std::string& parent, const std::string& snapshot,
                     const std::string& name) {
    return "error cloning image " + quoted(parent) + " at snapshot " + snapshot + " to " +
           quoted(name);
}

}  // namespace

void create(const IoCtx& parent_ioctx, const std::string& parent, const std::string& snapshot,
            const IoCtx& ioctx, const std::string& name, const ImageOptions& options) {
    auto parent_use = parent_ioctx.use();
    auto use = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_clone3(parent_use.get(), parent.c_str(), snapshot.c_str(), use.get(),
                          name.c_str(), handle.get()),
          [&] { return describe(parent, quoted(snapshot), name); });
}

void create_from_id(const IoCtx& parent_ioctx, const std::string& parent, uint64_t snapshot_id,
                    const IoCtx& ioctx, const std::string& name, const ImageOptions& options) {
    auto parent_use = parent_ioctx.use();
    auto use = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_clone4(parent_use.get(), parent.c_str(), snapshot_id, use.get(), name.c_str(),
                          handle.get()),
          [&] { return describe(parent, std::to_string(snapshot_id), name); });
}

}  // namespace rbdxx::clone
