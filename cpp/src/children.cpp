#include <rbdxx/children.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::children {

namespace {

template <class Function>
std::vector<Child> list_by(const Use<ImageState>& use, const Function& function,
                           const std::string& message) {
    auto records = sized_records<abi::rbd_linked_image_spec_t>(
        [&](auto* array, std::size_t* count) { return function(use.get(), array, count); },
        [&] { return message; });
    Records<abi::rbd_linked_image_spec_t> owned(std::move(records),
                                                use.functions().rbd_linked_image_spec_list_cleanup);
    std::vector<Child> children;
    for (const auto& record : owned) {
        children.push_back({record.pool_id, text_of(record.pool_name),
                            text_of(record.pool_namespace), text_of(record.image_id),
                            text_of(record.image_name), record.trash});
    }
    return children;
}

}  // namespace

std::vector<Child> list(const Image& image) {
    auto use = image.use();
    return list_by(use, use->rbd_list_children3,
                   "error listing the children of " + image.describe());
}

std::vector<Child> list_descendants(const Image& image) {
    auto use = image.use();
    return list_by(use, use->rbd_list_descendants,
                   "error listing the descendants of " + image.describe());
}

}  // namespace rbdxx::children
