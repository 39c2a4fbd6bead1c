#include "support/bindings.hpp"
#include "support/define.hpp"

namespace rbdxx::python {

void bind_plot(ImageClass& image) {
    // rbd.plot is loaded by whoever looks at an image in a notebook.
    define(
        image, "_repr_html_",
        [](const py::object& self) {
            return py::module_::import("rbd.plot").attr("_to_html")(self);
        },
        "The image as a table of HTML, which notebooks show.");
}

}  // namespace rbdxx::python
