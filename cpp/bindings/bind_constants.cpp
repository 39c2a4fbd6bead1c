#include <cerrno>

#include <rbdxx/constants.hpp>

#include "support/bindings.hpp"

namespace rbdxx::python {

void bind_constants(py::module_& m) {
    // One dict, which the package copies into its own namespace.
    py::dict values;
#define RBDXX_CONSTANT(release, type, prefix, name, value) \
    values[#prefix #name] = py::int_(static_cast<long long>(constants::name));
#define RBDXX_TEXT(release, prefix, name, text) values[#prefix #name] = py::str(constants::name);
#include <rbdxx/abi/constants.def>
#undef RBDXX_CONSTANT
#undef RBDXX_TEXT
    values["ECANCELED"] = py::int_(ECANCELED);
    m.attr("constants") = values;
}

}  // namespace rbdxx::python
