#include <rbdxx/constants.hpp>
#include <rbdxx/diff.hpp>
#include <rbdxx/error.hpp>

namespace rbdxx::diff {

namespace {

using Visit = std::function<int(const Extent&)>;

int visit_extent(uint64_t offset, std::size_t length, int exists, void* visit) noexcept {
    return (*static_cast<const Visit*>(visit))({offset, length, exists != 0});
}

}  // namespace

void iterate(const Image& image, const Request& request, const Visit& visit) {
    auto use = image.use();
    void* argument = const_cast<Visit*>(&visit);
    int result = 0;
    if (request.from_id) {
        uint32_t flags =
            (request.include_parent ? uint32_t{constants::DIFF_ITERATE_FLAG_INCLUDE_PARENT} : 0U) |
            (request.whole_object ? uint32_t{constants::DIFF_ITERATE_FLAG_WHOLE_OBJECT} : 0U);
        result = use->rbd_diff_iterate3(use.get(), *request.from_id, request.offset, request.length,
                                        flags, visit_extent, argument);
    } else {
        result = use->rbd_diff_iterate2(
            use.get(), request.from_name ? request.from_name->c_str() : nullptr, request.offset,
            request.length, request.include_parent ? 1 : 0, request.whole_object ? 1 : 0,
            visit_extent, argument);
    }
    check(result, [&] {
        std::string from = request.from_name ? " from snapshot " + quoted(*request.from_name)
                           : request.from_id
                               ? " from snapshot id " + std::to_string(*request.from_id)
                               : std::string();
        return "error generating the diff" + from + " of " + image.describe();
    });
}

}  // namespace rbdxx::diff
