// The stock module's iterator classes. An iterator reads the whole list when it is made. Thus
// librbd's memory is freed at once, and the iteration does not need the image any more.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "define.hpp"

namespace rbdxx::python {

// The base of each iterator class. Each Python class needs a derived C++ type.
struct Listing {
    py::list items;
};

// Defines a class `name` that is made from Arguments by `list(arguments...)`. That returns the
// py::list to iterate over, any number of times.
template <class Iterator, class... Arguments, class List, class... Extra>
py::class_<Iterator> bind_listing(py::module_& m, const char* name, List list, const char* doc,
                                  const Extra&... extra) {
    py::class_<Iterator> cls(m, name, doc);
    define_init(cls, py::init([list](Arguments... arguments) {
                    Iterator iterator;
                    iterator.items = list(std::forward<Arguments>(arguments)...);
                    return iterator;
                }),
                "Read the whole list. Raises what the listing raises.", extra...);
    define(
        cls, "__iter__", [](const Iterator& self) { return py::iter(self.items); },
        "Iterate from the beginning.");
    define(
        cls, "__len__", [](const Iterator& self) { return self.items.size(); },
        "Return the number of entries.");
    return cls;
}

}  // namespace rbdxx::python
