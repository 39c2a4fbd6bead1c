#include <rbdxx/rados/constants.hpp>

#include "bindings.hpp"

namespace rbdxx::python::rados {

void bind_constants(py::module_& m) {
    // One dict, which the package copies into its own namespace.
    py::dict values;
#define RBDXX_CONSTANT(release, type, prefix, name, value) \
    values[#prefix #name] = py::int_(topics::constants::name);
#define RBDXX_TEXT(release, prefix, name, text) \
    values[#prefix #name] = py::str(topics::constants::name);
#include <rbdxx/abi/rados_constants.def>
#undef RBDXX_CONSTANT
#undef RBDXX_TEXT
    m.attr("constants") = values;
}

}  // namespace rbdxx::python::rados
