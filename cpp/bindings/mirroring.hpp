// What librbd tells of mirrored images, in the stock module's shapes.
#pragma once

#include <string>

#include <rbdxx/mirror.hpp>

#include "bindings.hpp"

namespace rbdxx::python {

// A dict of global_id, state and primary.
py::dict to_dict(const mirror::ImageInfo& info);

// A dict of name, id, info, remote_statuses, and the local site's state, description, last_update
// and up.
py::dict to_dict(const mirror::ImageStatus& status, const std::string& image_id);

// The lists of a pool's mirrored images: bind_mirror()'s other half.
void bind_mirrored(py::module_& m, RbdClass& rbd);

}  // namespace rbdxx::python
