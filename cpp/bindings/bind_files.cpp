#include <pybind11/stl.h>

#include <memory>

#include <rbdxx/encryption.hpp>
#include <rbdxx/snapshot.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/presence.hpp"

namespace rbdxx::python {

namespace {

// Returns what is needed to open the image again: pool, namespace, name, id, snapshot, whether the
// image is read-only, the client's name and the configuration file. An unknown value is None. The
// snapshot is the one that is set; if no name opens it, it is the id.
py::tuple opened(const PyImage& self) {
    const OpenOptions& options = self.options();
    const IoCtx& ioctx = self.ioctx();
    std::string pool;
    std::string space;
    std::string id;
    snapshot::Position at;
    without_gil([&] {
        // The context may be closed, because an image outlives its context.
        if (!ioctx.closed()) {
            pool = ioctx.pool_name();
            space = ioctx.get_namespace();
        }
        id = self->old_format() ? "" : self->id();
        at = snapshot::position(self);
    });
    auto known = [](const std::string& value) {
        return value.empty() ? py::object(py::none()) : py::object(text(value));
    };
    const auto cluster = ioctx.state()->cluster;
    return py::make_tuple(
        text(pool), text(space), options.by_id ? py::object(py::none()) : text(options.name),
        known(id), at.id ? py::object(py::int_(*at.id)) : text_or_none(at.name), options.read_only,
        known(cluster ? cluster->client : ""), known(cluster ? cluster->config : ""));
}

}  // namespace

void bind_files(ImageClass& image) {
    define(image, "_opened", opened, "How the image was opened: the fields of rbd._opened.Opened.");
    define(
        image, "_require_whole_blocks",
        [](const PyImage& self, const std::string& what) {
            without_gil([&] {
                encryption::require_whole_blocks(self, self->size(),
                                                 "error " + what + " " + self->describe());
            });
        },
        "Raise OperationNotSupported if a copy of the stored bytes would lose the last ones.",
        py::arg("what"));
    define(
        image, "_open_again",
        [](const PyImage& self, const std::optional<Name>& snapshot) {
            return open_again(self, string(snapshot));
        },
        "Open the same image once more, read-only, at a snapshot or at its head.",
        py::arg("snapshot"));
    define(
        image, "_presence",
        [](const py::object& self, const std::optional<Name>& start) {
            auto made = std::make_shared<Presence>(self.cast<const PyImage&>(), string(start));
            return py::cpp_function([self, made] { return made->check(); });
        },
        "Return the check that the snapshots that a call reads are there: see Presence.",
        py::arg("start") = py::none());
    define(
        image, "open_file",
        [](const py::object& self, const py::object& mode, const py::object& buffering,
           const py::object& growing) {
            return py::module_::import("rbd.files")
                .attr("_open_image")(self, mode, buffering, growing);
        },
        R"(Return a binary file over the image, as the builtin `open` returns one for a path.

Closing the file leaves the image open.

Parameters
----------
mode
    'rb' or 'r+b'. 'wb' and 'w+b' empty the image first; 'ab' and 'a+b' write at its end.
buffering
    0 for a raw file; else the size of the buffer in bytes; -1 for a buffered file that reads
    ahead.
growing
    Whether a write past the end makes the file longer, and the image with it. None means that
    it does in the modes 'w' and 'a'. If it does not, such a write raises an error that is
    `NoSpace` and the builtin OSError.

Returns
-------
The file. Its `truncate` resizes the image, and its `flush` returns when everything is in the
cluster.

Raises
------
ValueError
    The mode is not one of those.
ReadOnlyImage
    The mode writes, and the image is open for reading alone.

Examples
--------
>>> with image.open_file("r+b") as file:
...     print(file.write(b"hello"))
5)",
        py::arg("mode") = "rb", py::arg("buffering") = -1, py::kw_only(),
        py::arg("growing") = py::none());
}

}  // namespace rbdxx::python
