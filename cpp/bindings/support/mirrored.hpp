// What librbd tells of mirrored images, in the stock module's shapes.
#pragma once

#include <string>

#include <rbdxx/mirrored.hpp>

#include "bindings.hpp"

namespace rbdxx::python {

// A dict of global_id, state and primary.
py::dict to_dict(const mirrored::ImageInfo& info);

// A dict of name, id, info, remote_statuses, and the local site's state, description, last_update
// and up.
py::dict to_dict(const mirrored::ImageStatus& status, const std::string& image_id);

}  // namespace rbdxx::python
