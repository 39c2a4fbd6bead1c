#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <rbdxx/diff.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/extents.hpp"
#include "support/gil.hpp"
#include "support/long_call.hpp"

namespace rbdxx::python {

namespace {

diff::Request request(uint64_t offset, uint64_t length, const py::object& from_snapshot,
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
diff::Array collect(const Image& image, const diff::Request& wanted, bool merge) {
    // An abandoned call is the only owner.
    auto extents = std::make_shared<diff::Array>();
    long_call(
        py::none(), py::none(),
        [extents, wanted, merge](const Image& of, const Progress& progress) {
            *extents = diff::collect(of, wanted, merge, progress);
        },
        image);
    return std::move(*extents);
}

// What a callback returned, as an errno: None goes on.
int answer_of(const py::object& returned) {
    if (returned.is_none()) {
        return 0;
    }
    if (PyLong_Check(returned.ptr()) == 0) {
        throw py::type_error("iterate_cb must return an int or None, not " +
                             std::string(Py_TYPE(returned.ptr())->tp_name));
    }
    return convert_flags(returned);
}

void diff_iterate(const PyImage& self, const U64& offset, const U64& length,
                  const py::object& from_snapshot, const py::object& iterate_cb,
                  bool include_parent, bool whole_object) {
    if (PyCallable_Check(iterate_cb.ptr()) == 0) {
        throw py::type_error("iterate_cb must be callable, not " + type_of(iterate_cb));
    }
    const Image& image = self.get();
    auto wanted = request(offset, length, from_snapshot, include_parent, whole_object);
    for (const diff::Extent& extent : collect(image, wanted, false)) {
        auto from = py::reinterpret_steal<py::object>(PyLong_FromUnsignedLongLong(extent.offset));
        auto bytes = py::reinterpret_steal<py::object>(PyLong_FromUnsignedLongLong(extent.length));
        PyObject* arguments[] = {nullptr, from.ptr(), bytes.ptr(),
                                 extent.exists ? Py_True : Py_False};
        if (!from || !bytes) {
            throw py::error_already_set();
        }
        auto returned = py::reinterpret_steal<py::object>(PyObject_Vectorcall(
            iterate_cb.ptr(), arguments + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
        if (!returned) {
            throw py::error_already_set();
        }
        int answer = answer_of(returned);
        if (answer < 0) {
            throw Error(-answer, diff::describe(image, wanted));
        }
    }
}

std::unique_ptr<Extents> find(const PyImage& self, const U64& offset,
                              const std::optional<U64>& length, const py::object& from_snapshot,
                              bool include_parent, bool whole_object, bool merge) {
    const Image& image = self.get();
    auto wanted = request(offset, 0, from_snapshot, include_parent, whole_object);
    if (length) {
        wanted.length = *length;
    } else {
        uint64_t size = without_gil([&] { return image.size(); });
        // Beyond the image, librbd says what is wrong with that.
        wanted.length = size >= offset ? size - offset : 1;
    }
    auto extents = std::make_unique<Extents>();
    extents->items = collect(image, wanted, merge);
    return extents;
}

bool maps_tell(const PyImage& self, const py::object& from_snapshot) {
    const Image& image = self.get();
    auto wanted = request(0, std::numeric_limits<uint64_t>::max(), from_snapshot, true, true);
    return without_gil([&] { return diff::maps_tell(image, wanted); });
}

}  // namespace

void bind_diff(py::module_& m, ImageClass& image) {
    bind_extents(m);
    define(
        image, "diff_iterate", diff_iterate,
        "Calls iterate_cb(offset, length, exists) for each extent that changed, in bytes.\n\n"
        "from_snapshot: a name, an id, or None for the beginning. include_parent: what a clone "
        "has\nfrom its parent counts too. whole_object: extents of whole objects; see diff().\n\n"
        "iterate_cb returns None or an int; a negative one ends the iteration and is raised as "
        "the\nexception of that errno, and what it raises is raised. Raises InvalidArgument "
        "where the\nsnapshot is later than what is read, ImageNotFound.\n\n"
        "Implements: rbd_diff_iterate2, rbd_diff_iterate3",
        py::arg("offset"), py::arg("length"), py::arg("from_snapshot"), py::arg("iterate_cb"),
        py::arg("include_parent") = true, py::arg("whole_object") = false);
    define(
        image, "diff", find,
        "What changed, as Extents: from `offset` for `length` bytes (None: to the end).\n\n"
        "from_snapshot: a name, an id, or None for the beginning. include_parent: what a clone "
        "has\nfrom its parent counts too. whole_object: extents of whole objects, which is quick "
        "where there is\nan object map. merge: extents that touch and are alike become one.\n\n"
        "Where the object maps would not name every change (encryption is loaded and librbd "
        "has\nno rbd_diff_iterate3, or the image had another size since from_snapshot), "
        "whole_object is as False.\nOf an image in migration, where librbd would leave out changes "
        "or end the process, the whole\nregion is one extent.\n\n"
        "Extents are as librbd reports them: they may reach out of the region. Raises "
        "InvalidArgument,\nImageNotFound.\n\nImplements: rbd_diff_iterate2, rbd_diff_iterate3",
        py::arg("offset") = 0, py::arg("length") = py::none(),
        py::arg("from_snapshot") = py::none(), py::kw_only(), py::arg("include_parent") = true,
        py::arg("whole_object") = false, py::arg("merge") = false);
    define(image, "_maps_tell", maps_tell,
           "Whether the object maps name every byte that a diff from the snapshot has to name.",
           py::arg("from_snapshot"));
}

}  // namespace rbdxx::python
