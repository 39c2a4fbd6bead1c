#include "support/bindings.hpp"
#include "support/define.hpp"

namespace rbdxx::python {

void bind_plot(ImageClass& image) {
    // A notebook that displays an image imports rbd.plot through this.
    define(
        image, "_repr_html_",
        [](const py::object& self) {
            return py::module_::import("rbd.plot").attr("_to_html")(self);
        },
        "The image as a table of HTML, which notebooks show.");
}

}  // namespace rbdxx::python
