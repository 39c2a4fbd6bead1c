#include <rbdxx/children.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"

namespace rbdxx::python {

namespace {

struct ChildIterator : Listing {};

py::list list_children(const PyImage& image, bool descendants) {
    auto found = without_gil(
        [&] { return descendants ? children::list_descendants(image) : children::list(image); });
    py::list dicts;
    for (const auto& child : found) {
        py::dict dict;
        dict["pool"] = text(child.pool_name);
        dict["pool_namespace"] = text(child.pool_namespace);
        dict["image"] = text(child.image_name);
        dict["id"] = text(child.image_id);
        dict["trash"] = child.trash;
        dicts.append(dict);
    }
    return dicts;
}

}  // namespace

void bind_children(py::module_& m, ImageClass& image) {
    bind_listing<ChildIterator, const PyImage&, bool>(
        m, "ChildIterator", list_children,
        "The clones of an image, each a dict of pool, pool_namespace, image, id and trash (whether "
        "it is in\nthe trash); with descendants, their clones too.\n\n"
        "Implements: rbd_list_children3, rbd_list_descendants",
        py::arg("image"), py::arg("descendants") = false);
    define(
        image, "list_children",
        [](const PyImage& self) {
            auto found = without_gil([&] { return children::list(self); });
            py::list pairs;
            for (const auto& child : found) {
                if (!child.trash) {
                    pairs.append(py::make_tuple(text(child.pool_name), text(child.image_name)));
                }
            }
            return pairs;
        },
        R"(Return the clones of the snapshot that is set, or of all snapshots.

Returns
-------
A list of `(pool, image)`, without the images in the trash.

Examples
--------
>>> image.list_children()
[]

Implements: rbd_list_children3)");
    define(
        image, "list_children2",
        [m](const py::object& self) { return m.attr("ChildIterator")(self); },
        R"(Iterate over the clones of the snapshot that is set, or of all snapshots.

Returns
-------
An iterator of dicts of `pool`, `pool_namespace`, `image`, `id` and `trash`.

Implements: rbd_list_children3)");
    define(
        image, "list_descendants",
        [m](const py::object& self) { return m.attr("ChildIterator")(self, true); },
        R"(Iterate over the clones, their clones, and so on.

Returns
-------
An iterator of dicts, as those of `list_children2`.

Implements: rbd_list_descendants)");
}

}  // namespace rbdxx::python
