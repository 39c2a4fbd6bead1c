#include <rbdxx/watch.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "gil.hpp"
#include "listing.hpp"

namespace rbdxx::python {

namespace {

struct WatcherIterator : Listing {};

py::list list_watchers(const PyImage& image) {
    auto watchers = without_gil([&] { return watch::list(image); });
    py::list dicts;
    for (const auto& watcher : watchers) {
        py::dict dict;
        dict["addr"] = text(watcher.address);
        dict["id"] = watcher.id;
        dict["cookie"] = watcher.cookie;
        dicts.append(dict);
    }
    return dicts;
}

}  // namespace

void bind_watch(py::module_& m, ImageClass& image) {
    bind_listing<WatcherIterator, const PyImage&>(
        m, "WatcherIterator", list_watchers,
        "Who watches the image, each a dict of addr, id (the client's number) and cookie. "
        "Implements: rbd_watchers_list",
        py::arg("image"));
    define(
        image, "watchers_list",
        [m](const py::object& self) { return m.attr("WatcherIterator")(self); },
        "Who watches the image, which is who has it open for writing, as an iterator of dicts.\n\n"
        "Implements: rbd_watchers_list");
}

}  // namespace rbdxx::python
