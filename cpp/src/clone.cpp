#include <rbdxx/clone.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx::clone {

namespace {

std::string describe(const IoCtx& parent_ioctx, const std::string& parent,
                     const std::string& snapshot, const IoCtx& ioctx, const std::string& name) {
    return "error cloning image " + quoted(parent) + " at snapshot " + snapshot +
           parent_ioctx.place() + " to " + quoted(name) + ioctx.place();
}

// No snapshot has this id. A check in librbd ends the process if it is passed.
constexpr uint64_t head_id = ~uint64_t{0} - 1;

[[noreturn]] void refuse_head(const std::string& parent, const std::string& name) {
    throw ArgumentError("error cloning image " + quoted(parent) + " to " + quoted(name) +
                        ": the snapshot has no name; name a snapshot of the parent");
}

}  // namespace

void create(const IoCtx& parent_ioctx, const std::string& parent, const std::string& snapshot,
            const IoCtx& ioctx, const std::string& name, const ImageOptions& options) {
    if (snapshot.empty()) {
        refuse_head(parent, name);
    }
    auto parent_use = parent_ioctx.use();
    auto use = ioctx.use();
    OptionsHandle handle(options);
    check(use->rbd_clone3(parent_use.get(), parent.c_str(), snapshot.c_str(), use.get(),
                          name.c_str(), handle.get()),
          [&] { return describe(parent_ioctx, parent, quoted(snapshot), ioctx, name); });
}

void create_from_id(const IoCtx& parent_ioctx, const std::string& parent, uint64_t snapshot_id,
                    const IoCtx& ioctx, const std::string& name, const ImageOptions& options) {
    auto parent_use = parent_ioctx.use();
    auto use = ioctx.use();
    use->rbd_clone4.require();
    if (snapshot_id == head_id) {
        refuse_head(parent, name);
    }
    OptionsHandle handle(options);
    check(use->rbd_clone4(parent_use.get(), parent.c_str(), snapshot_id, use.get(), name.c_str(),
                          handle.get()),
          [&] {
              return describe(parent_ioctx, parent, "id " + std::to_string(snapshot_id), ioctx,
                              name);
          });
}

}  // namespace rbdxx::clone
