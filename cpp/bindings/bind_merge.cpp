#include <pybind11/stl.h>

#include <rbdxx/merge.hpp>

#include <array>
#include <utility>

#include "support/arguments.hpp"
#include "support/bindings.hpp"
#include "support/buffer.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

using merge::Merge;
using File = std::pair<int, uint64_t>;

py::tuple fill(Merge& self, const py::object& memory, int version, const U64& limit,
               const File& first, const File& second) {
    const Buffer space(memory, Buffer::Access::write);
    const std::array<merge::File, 2> files{merge::File{first.first, first.second},
                                           merge::File{second.first, second.second}};
    const merge::Filled filled =
        without_gil([&] { return self.fill(space.data(), space.size(), version, limit, files); });
    return py::make_tuple(filled.size, filled.reached, filled.ended, filled.stream, filled.position,
                          filled.length);
}

py::object next(Merge& self, const U64& limit) {
    const auto stretch = self.next(limit);
    if (!stretch) {
        return py::none();
    }
    return py::make_tuple(stretch->offset, stretch->end, stretch->stream, stretch->position);
}

}  // namespace

void bind_merge(py::module_& m) {
    py::class_<Merge> cls(m, "_Merge", "Merges the extents of two differences.");
    cls.def(py::init<>());
    define(
        cls, "add",
        [](Merge& self, const U64& offset, const U64& length, int stream, const I64& position) {
            self.add(offset, length, stream, position);
        },
        "Add an extent. It hides the extents that were added before.", py::arg("offset"),
        py::arg("length"), py::arg("stream"), py::arg("position"));
    define(
        cls, "add_below",
        [](Merge& self, const U64& offset, const U64& length) { self.add_below(offset, length); },
        "Add an extent of zeroes that hides nothing.", py::arg("offset"), py::arg("length"));
    define(
        cls, "take",
        [](Merge& self, const py::object& view, int version, const U64& limit, int stream,
           const I64& position) {
            const Buffer data(view, Buffer::Access::read);
            return without_gil([&] {
                return self.take(data.data(), data.size(), version, limit, stream, position);
            });
        },
        "Add the whole records at the beginning of a view of a stream. Return their length.",
        py::arg("view"), py::arg("version"), py::arg("limit"), py::arg("stream"),
        py::arg("position"));
    define(cls, "next", next, "Return the next (offset, end, stream, position), or None.",
           py::arg("limit"));
    define(
        cls, "fill", fill,
        "Put records into memory. Return their size, the offset reached, whether those were all,\n"
        "and what the last one lacks: stream, position, length.",
        py::arg("memory"), py::arg("version"), py::arg("limit"), py::arg("first"),
        py::arg("second"));
}

}  // namespace rbdxx::python
