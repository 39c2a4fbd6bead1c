#include <pybind11/stl.h>

#include <vector>

#include <rbdxx/diff.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "gil.hpp"

namespace rbdxx::python {

namespace {

diff::Request request(const U64& offset, const U64& length, const py::object& from_snapshot,
                      bool include_parent, bool whole_object) {
    diff::Request wanted;
    wanted.offset = offset;
    wanted.length = length;
    wanted.include_parent = include_parent;
    wanted.whole_object = whole_object;
    if (PyLong_Check(from_snapshot.ptr())) {
        wanted.from_id = convert_u64(from_snapshot);
    } else if (!from_snapshot.is_none()) {
        wanted.from_name = convert_name(from_snapshot);
    }
    return wanted;
}

// Every extent, collected without the GIL; a signal ends it.
std::vector<diff::Extent> collect(const PyImage& self, const diff::Request& wanted) {
    std::vector<diff::Extent> extents;
    long_call(py::none(), [&](const Progress& progress) {
        diff::iterate(self, wanted, [&](const diff::Extent& extent) {
            extents.push_back(extent);
            return extents.size() % 1024 == 0 ? progress(0, 0) : 0;
        });
    });
    return extents;
}

void diff_iterate(const PyImage& self, const U64& offset, const U64& length,
                  const py::object& from_snapshot, const py::object& iterate_cb,
                  bool include_parent, bool whole_object) {
    if (PyCallable_Check(iterate_cb.ptr()) == 0) {
        throw py::type_error("iterate_cb must be callable");
    }
    auto extents =
        collect(self, request(offset, length, from_snapshot, include_parent, whole_object));
    for (const auto& extent : extents) {
        iterate_cb(extent.offset, extent.length, extent.exists);
    }
}

}  // namespace

void bind_diff(ImageClass& image) {
    define(image, "diff_iterate", diff_iterate,
           "Calls iterate_cb(offset, length, exists) for each extent that changed, in bytes.\n\n"
           "from_snapshot: a name, an id (Ceph 18), or None for the beginning. include_parent: "
           "what a\n"
           "clone has from its parent counts too. whole_object: extents of whole objects. What\n"
           "iterate_cb raises ends the iteration and is raised. Raises InvalidArgument where the "
           "snapshot is\n"
           "later than what is read, ImageNotFound.\n\n"
           "Implements: rbd_diff_iterate2, rbd_diff_iterate3",
           py::arg("offset"), py::arg("length"), py::arg("from_snapshot"), py::arg("iterate_cb"),
           py::arg("include_parent") = true, py::arg("whole_object") = false);
}

}  // namespace rbdxx::python
