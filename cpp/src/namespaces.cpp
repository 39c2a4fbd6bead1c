#include <rbdxx/error.hpp>
#include <rbdxx/namespaces.hpp>
#include <rbdxx/sized.hpp>

namespace rbdxx::namespaces {

void create(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    check(use->rbd_namespace_create(use.get(), name.c_str()),
          [&] { return "error creating namespace " + quoted(name) + ioctx.place(); });
}

void remove(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    check(use->rbd_namespace_remove(use.get(), name.c_str()),
          [&] { return "error removing namespace " + quoted(name) + ioctx.place(); });
}

bool exists(const IoCtx& ioctx, const std::string& name) {
    auto use = ioctx.use();
    bool answer = false;
    check(use->rbd_namespace_exists(use.get(), name.c_str(), &answer),
          [&] { return "error looking for namespace " + quoted(name) + ioctx.place(); });
    return answer;
}

std::vector<std::string> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    return sized_names(
        [&](char* names, std::size_t* size) {
            return use->rbd_namespace_list(use.get(), names, size);
        },
        [&] { return "error listing namespaces" + ioctx.place(); });
}

}  // namespace rbdxx::namespaces
