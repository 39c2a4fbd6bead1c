#include <rbdxx/api.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/parent.hpp>
#include <rbdxx/sized.hpp>

#include <cerrno>
#include <memory>

namespace rbdxx::parent {

Parent get(const Image& image) {
    auto use = image.use();
    const auto& functions = use.functions();
    struct Answer {
        const abi::Functions& functions;
        abi::rbd_linked_image_spec_t image{};
        abi::rbd_snap_spec_t snapshot{};
        bool filled = false;
        ~Answer() {
            if (filled) {
                functions.rbd_linked_image_spec_cleanup(&image);
                functions.rbd_snap_spec_cleanup(&snapshot);
            }
        }
    } answer{functions};
    check(functions.rbd_get_parent(use.get(), &answer.image, &answer.snapshot),
          [&] { return "error getting the parent of " + image.describe(); });
    answer.filled = true;
    Parent parent;
    parent.pool_id = answer.image.pool_id;
    parent.pool_name = text_of(answer.image.pool_name);
    parent.pool_namespace = text_of(answer.image.pool_namespace);
    parent.image_id = text_of(answer.image.image_id);
    parent.image_name = text_of(answer.image.image_name);
    parent.trash = answer.image.trash;
    parent.snapshot_id = answer.snapshot.id;
    parent.snapshot_type = answer.snapshot.namespace_type;
    parent.snapshot_name = text_of(answer.snapshot.name);
    return parent;
}

Image open(const Image& image, const Parent& found) {
    OpenOptions options;
    options.name = found.image_id;
    options.by_id = true;
    options.read_only = true;
    return image.open_beside(found.pool_id, found.pool_namespace, options);
}

}  // namespace rbdxx::parent
