#include <rbdxx/api.hpp>
#include <rbdxx/parent.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

parent::Parent ask(const PyImage& self) {
    return without_gil([&] { return parent::get(self); });
}

}  // namespace

void bind_parent(ImageClass& image) {
    define(
        image, "parent_info",
        [](const PyImage& self) {
            auto found = ask(self);
            return py::make_tuple(text(found.pool_name), text(found.image_name),
                                  text(found.snapshot_name));
        },
        R"(Return the names of the parent.

Returns
-------
`(pool, image, snapshot)`.

Raises
------
ImageNotFound
    The image has no parent.

Examples
--------
>>> with rbd.Image(ioctx, "vm1") as clone:
...     print(clone.parent_info())
('rbd', 'base', 'golden')

Implements: rbd_get_parent)");
    define(
        image, "parent_id", [](const PyImage& self) { return text(ask(self).image_id); },
        R"(Return the id of the parent image.

Returns
-------
The id.

Raises
------
ImageNotFound
    The image has no parent.

Implements: rbd_get_parent)");
    define(
        image, "get_parent_image_spec",
        [](const PyImage& self) {
            auto found = ask(self);
            py::dict dict;
            dict["pool_name"] = text(found.pool_name);
            dict["pool_namespace"] = text(found.pool_namespace);
            dict["image_name"] = text(found.image_name);
            dict["snap_name"] = text(found.snapshot_name);
            // As the stock module of that release does.
            if (library_info().release >= 20) {
                dict["pool_id"] = found.pool_id;
                dict["image_id"] = text(found.image_id);
                dict["trash"] = found.trash;
                dict["snap_id"] = found.snapshot_id;
                dict["snap_namespace_type"] = found.snapshot_type;
            }
            return dict;
        },
        R"(Return what the image is a clone of.

Returns
-------
A dict of `pool_name`, `pool_namespace`, `image_name` and `snap_name`; from Ceph 20 on also of
`pool_id`, `image_id`, `trash`, `snap_id` and `snap_namespace_type`.

Raises
------
ImageNotFound
    The image has no parent.

Implements: rbd_get_parent)");
}

}  // namespace rbdxx::python
