// The contents of rbd._core: one function for each topic.
#pragma once

#include <pybind11/pybind11.h>

#include "image.hpp"

namespace rbdxx::python {

// The class RBD has no state: it only holds the calls on a pool.
struct Rbd {};
using RbdClass = py::class_<Rbd>;

void bind_errors(py::module_& m);
void bind_constants(py::module_& m);
void bind_library(py::module_& m);
void bind_images(py::module_& m, RbdClass& rbd);
void bind_clone(RbdClass& rbd);
void bind_image(ImageClass& image);
void bind_io(ImageClass& image);
void bind_aio(py::module_& m);
void bind_batch(ImageClass& image);
void bind_completion(py::module_& m, RbdClass& rbd, ImageClass& image);
void bind_snapshot(py::module_& m, ImageClass& image);
void bind_snapshot_namespace(ImageClass& image);
void bind_parent(ImageClass& image);
void bind_children(py::module_& m, ImageClass& image);
void bind_copy(ImageClass& image);
void bind_trash(py::module_& m, RbdClass& rbd);
void bind_migration(RbdClass& rbd, ImageClass& image);
void bind_metadata(py::module_& m, RbdClass& rbd, ImageClass& image);
void bind_config(py::module_& m, RbdClass& rbd, ImageClass& image);
void bind_pool(RbdClass& rbd);
void bind_namespaces(RbdClass& rbd);
void bind_features(RbdClass& rbd);
void bind_diff(py::module_& m, ImageClass& image);
void bind_capsule(ImageClass& image);
void bind_lock(py::module_& m, ImageClass& image);
void bind_watch(py::module_& m, ImageClass& image);
void bind_group(py::module_& m, RbdClass& rbd, ImageClass& image);
void bind_encryption(ImageClass& image);
void bind_mirror(RbdClass& rbd);
void bind_peers(py::module_& m, RbdClass& rbd);
void bind_mirrored(py::module_& m, RbdClass& rbd);
void bind_mirror_image(ImageClass& image);
void bind_files(ImageClass& image);
void bind_plot(ImageClass& image);
void bind_pipeline(py::module_& m);
void bind_records(py::module_& m);
void bind_merge(py::module_& m);

}  // namespace rbdxx::python
