// The stock module's iterator classes: what librbd listed, taken whole when the iterator is made,
// so that its memory is freed at once and iterating outlives the image.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "define.hpp"

namespace rbdxx::python {

// Base of each iterator class; deriving a type of its own gives it a Python class of its own.
struct Listing {
    py::list items;
};

// A class `name` made from Arguments by `list(arguments...)`, which gives the py::list to iterate
// over, as often as wanted.
template <class Iterator, class... Arguments, class List, class... Extra>
py::class_<Iterator> bind_listing(py::module_& m, const char* name, List list, const char* doc,
                                  const Extra&... extra) {
    py::class_<Iterator> cls(m, name, doc);
    define_init(cls, py::init([list](Arguments... arguments) {
                    Iterator iterator;
                    iterator.items = list(std::forward<Arguments>(arguments)...);
                    return iterator;
                }),
                "Lists at once; raises what the listing raises.", extra...);
    define(
        cls, "__iter__", [](const Iterator& self) { return py::iter(self.items); },
        "Iterates anew.");
    define(
        cls, "__len__", [](const Iterator& self) { return self.items.size(); },
        "How many entries there are.");
    return cls;
}

}  // namespace rbdxx::python
