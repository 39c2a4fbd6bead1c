#include <stdexcept>

#include <rbdxx/api.hpp>

#include "support/arguments.hpp"
#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

void bind_library(py::module_& m) {
    m.attr("__version__") = RBDXX_VERSION;
    define_function(
        m, "library_info",
        [] {
            LibraryInfo info = without_gil([] { return library_info(); });
            py::tuple missing(info.missing.size());
            for (std::size_t i = 0; i < info.missing.size(); ++i) {
                missing[i] = text(info.missing[i]);
            }
            return py::make_tuple(
                text(info.path),
                py::make_tuple(info.version.major, info.version.minor, info.version.extra), missing,
                text(info.rados_path));
        },
        "(path, version, missing, rados path) of the loaded librbd, which it loads if need be.");
    define_function(
        m, "supports",
        [](const Name& function) {
            try {
                return without_gil([&] { return supports(function); });
            } catch (const std::out_of_range& error) {
                throw py::value_error(error.what());
            }
        },
        R"(Return whether the loaded librbd (or librados) has a C function.

Parameters
----------
function
    The name of the function, such as 'rbd_clone4'.

Returns
-------
True if it has.

Raises
------
LibraryNotFound
    There is no library.
ValueError
    No release of Ceph has such a function.

Examples
--------
>>> rbd.supports("rbd_open")
True)",
        py::arg("function"));
    define_function(
        m, "table",
        [] {
            py::list rows;
            for (const TableEntry& entry : table()) {
                rows.append(py::make_tuple(entry.name, entry.release, entry.rados));
            }
            return rows;
        },
        "The ABI table: (C function, first Ceph release, whether of librados) for each. Loads "
        "nothing.");
}

}  // namespace rbdxx::python
