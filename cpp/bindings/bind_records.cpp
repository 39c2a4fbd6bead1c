#include <rbdxx/records.hpp>

#include "support/arguments.hpp"
#include "support/bindings.hpp"
#include "support/buffer.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// Calls visit(record) for each whole record at the beginning of a piece of a diff stream. Returns
// their total length.
template <class Visit>
uint64_t for_each_record(const py::object& view, int version, uint64_t limit, const Visit& visit) {
    const Buffer stream(view, Buffer::Access::read);
    uint64_t done = 0;
    while (const auto record =
               records::whole(stream.data() + done, stream.size() - done, version, limit)) {
        visit(*record);
        done += record->size;
    }
    return done;
}

}  // namespace

void bind_records(py::module_& m) {
    m.def(
        "_skip_records",
        [](const py::object& view, int version, const U64& limit) {
            return for_each_record(view, version, limit, [](const records::Record&) {});
        },
        "Return the length of the whole records at the beginning of a view, below `limit`.",
        py::arg("view"), py::arg("version"), py::arg("limit"));
    m.def(
        "_skip_file_records",
        [](int descriptor, const U64& position, const U64& end, int version, const U64& limit,
           uint64_t most) {
            return without_gil([&] {
                return records::skip({descriptor, position, end}, version, limit, most);
            });
        },
        "Return the position in a file after the whole records between two positions, after "
        "`most`\n"
        "of them at the latest. Reads their headers alone.",
        py::arg("descriptor"), py::arg("position"), py::arg("end"), py::arg("version"),
        py::arg("limit"), py::arg("most"));
    m.def(
        "_list_records",
        [](const py::object& view, int version, const U64& limit, py::list found) {
            return for_each_record(view, version, limit, [&](const records::Record& record) {
                found.append(py::make_tuple(record.offset, record.length, record.data));
            });
        },
        "Like _skip_records(), and append each (offset, length, data) to a list.", py::arg("view"),
        py::arg("version"), py::arg("limit"), py::arg("found"));
}

}  // namespace rbdxx::python
