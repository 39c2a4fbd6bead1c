#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <rbdxx/diff.hpp>
#include <rbdxx/encryption.hpp>

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

// Collects all extents without the GIL. A signal ends it.
diff::Array collect(const Image& image, const diff::Request& wanted, bool merge) {
    // Shared, because an abandoned call is the only owner left.
    auto extents = std::make_shared<diff::Array>();
    long_call(
        py::none(), py::none(),
        [extents, wanted, merge](const Image& of, const Progress& progress) {
            *extents = diff::collect(of, wanted, merge, progress);
        },
        image);
    return std::move(*extents);
}

// Converts what a callback returned to an errno. None means: continue.
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
        // For an offset beyond the image, librbd reports the error.
        wanted.length = size >= offset ? size - offset : 1;
    }
    auto extents = std::make_unique<Extents>();
    extents->items = collect(image, wanted, merge);
    return extents;
}

bool maps_tell(const PyImage& self) {
    const Image& image = self.get();
    diff::Request everything;
    everything.length = std::numeric_limits<uint64_t>::max();
    return without_gil([&] { return diff::maps_tell(image, everything); });
}

}  // namespace

void bind_diff(py::module_& m, ImageClass& image) {
    bind_extents(m);
    define(image, "diff_iterate", diff_iterate,
           R"(Call a function for each extent that has changed.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes.
from_snapshot
    Changed since this snapshot: a name or an id. None means since the beginning.
iterate_cb
    `iterate_cb(offset, length, exists)`, in bytes; `exists` is false for what was discarded. It
    returns None or an int. A negative int ends the iteration, and the exception of that errno
    is raised. What it raises is raised, too.
include_parent
    Count what a clone has from its parent.
whole_object
    Report whole objects; see `diff`.

Raises
------
InvalidArgument
    The snapshot is later than what is read.
ImageNotFound
    There is no such snapshot.

Examples
--------
>>> changed = []
>>> image.write(b"hello", 0)
5
>>> image.diff_iterate(0, image.size(), None, lambda *extent: changed.append(extent))
>>> changed
[(0, 5, True)]

Implements: rbd_diff_iterate2, rbd_diff_iterate3)",
           py::arg("offset"), py::arg("length"), py::arg("from_snapshot"), py::arg("iterate_cb"),
           py::arg("include_parent") = true, py::arg("whole_object") = false);
    define(image, "diff", find,
           R"(Return the extents that have changed, as one object without callbacks.

Parameters
----------
offset
    Where to begin, in bytes.
length
    How many bytes; None means to the end.
from_snapshot
    Changed since this snapshot: a name or an id. None means since the beginning.
include_parent
    Count what a clone has from its parent.
whole_object
    Report whole objects. From the beginning, that is quick with an object map.
merge
    Join extents that touch and are alike.

Returns
-------
The extents, as librbd reports them: they may reach out of the region. Each is `(offset, length,
exists)` in bytes. All of them are a buffer, which `numpy.asarray` shows as a structured array.

Raises
------
InvalidArgument
    The snapshot is later than what is read.
ImageNotFound
    There is no such snapshot.

Notes
-----
The object maps do not name every change since a snapshot, because librbd does not mark in them
what a rollback has changed. With `from_snapshot`, each object is asked for instead. They do not
either if encryption is loaded and librbd has no `rbd_diff_iterate3`. Then `whole_object` counts as
False.
If the image is in migration, the whole region is one extent, because librbd would leave out
changes or end the process.

Examples
--------
>>> image.write(b"hello", 0)
5
>>> sum(length for _, length, exists in image.diff() if exists)
5

Implements: rbd_diff_iterate2, rbd_diff_iterate3)",
           py::arg("offset") = 0, py::arg("length") = py::none(),
           py::arg("from_snapshot") = py::none(), py::kw_only(), py::arg("include_parent") = true,
           py::arg("whole_object") = false, py::arg("merge") = false);
    define(image, "_maps_tell", maps_tell,
           "Whether the object maps name every byte that a diff from the beginning has to name.");
    define(
        image, "_may_be_decrypted",
        [](const PyImage& self) {
            return without_gil([&] { return encryption::may_be_loaded(self.get()); });
        },
        "Whether offsets may be those of decrypted data.");
}

}  // namespace rbdxx::python
