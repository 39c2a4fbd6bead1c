// The records of mirrored images as the stock module's dicts.
#pragma once

#include <string>

#include <rbdxx/mirrored.hpp>

#include "bindings.hpp"

namespace rbdxx::python {

// Returns a dict of global_id, state and primary.
py::dict to_dict(const mirrored::ImageInfo& info);

// Returns a dict of name, id, info, remote_statuses, and the local site's state, description,
// last_update and up.
py::dict to_dict(const mirrored::ImageStatus& status, const std::string& image_id);

}  // namespace rbdxx::python
