// Functions that define methods of classes. A method gets a text signature that inspect can read.
// If the loaded librbd may lack what the method needs, it also gets a gate that makes it look
// absent.
#pragma once

#include <pybind11/pybind11.h>

#include <rbdxx/error.hpp>

#include <string>
#include <utility>

namespace rbdxx::python {

namespace py = pybind11;

namespace signature {

inline void add(std::string& text, const py::arg& argument) {
    text += std::string(", ") + argument.name;
}

inline void add(std::string& text, const py::arg_v& argument) {
    std::string value = argument.descr != nullptr ? std::string(argument.descr)
                                                  : std::string(py::str(py::repr(argument.value)));
    text += std::string(", ") + argument.name + "=" + value;
}

inline void add(std::string& text, const py::kw_only&) {
    text += ", *";
}

template <class Other>
void add(std::string&, const Other&) {}

}  // namespace signature

// Returns "name(first, a, b=1)\n--\n\ndoc", made from the arguments that pybind11 gets.
template <class... Extra>
std::string documented(const char* name, const char* first, const char* doc,
                       const Extra&... extra) {
    std::string arguments;
    (signature::add(arguments, extra), ...);
    arguments =
        *first != '\0' ? first + arguments : (arguments.empty() ? arguments : arguments.substr(2));
    return std::string(name) + "(" + arguments + ")\n--\n\n" + doc;
}

// Defines a method. `doc` states meaning, units, errors, and "Implements: rbd_x".
template <class Class, class Function, class... Extra>
void define(Class& cls, const char* name, Function&& function, const char* doc,
            const Extra&... extra) {
    std::string text = documented(name, "self", doc, extra...);
    cls.def(name, std::forward<Function>(function), text.c_str(), extra...);
}

// Defines the two methods of a context manager of T that calls `close(self)`. If the body raises, a
// failed close does not replace its exception, which says more.
template <class T, class Class, class Close>
void define_context(Class& cls, const Close& close, const char* enter_doc, const char* exit_doc) {
    define(
        cls, "__enter__", [](py::object self) { return self; }, enter_doc);
    define(
        cls, "__exit__",
        [close](T& self, const py::object& type, const py::object&, const py::object&) {
            try {
                close(self);
            } catch (const Error&) {
                if (type.is_none()) {
                    throw;
                }
            }
            return false;
        },
        exit_doc, py::arg("type_") = py::none(), py::arg("value") = py::none(),
        py::arg("traceback") = py::none());
}

// Defines a method that takes any number of positional arguments. `parameters` is the text of its
// signature.
template <class Class, class Function>
void define_variadic(Class& cls, const char* name, Function&& function, const char* parameters,
                     const char* doc) {
    std::string text = std::string(name) + parameters + "\n--\n\n" + doc;
    cls.def(name, std::forward<Function>(function), text.c_str());
}

// Defines a constructor: `py::init(...)` with the class's text signature.
template <class Class, class Init, class... Extra>
void define_init(Class& cls, Init&& init, const char* doc, const Extra&... extra) {
    std::string text = documented("__init__", "self", doc, extra...);
    cls.def(std::forward<Init>(init), text.c_str(), extra...);
}

// Defines a constructor that itself fills `value_and_holder&`, its first argument.
template <class Class, class Function, class... Extra>
void define_constructor(Class& cls, Function&& function, const char* doc, const Extra&... extra) {
    std::string text = documented("__init__", "self", doc, extra...);
    cls.def("__init__", std::forward<Function>(function), py::detail::is_new_style_constructor(),
            text.c_str(), extra...);
}

// Defines a function of the module.
template <class Function, class... Extra>
void define_function(py::module_& module, const char* name, Function&& function, const char* doc,
                     const Extra&... extra) {
    std::string text = documented(name, "", doc, extra...);
    module.def(name, std::forward<Function>(function), text.c_str(), extra...);
}

// Puts `method` behind a gate on a C function: the class always has the method, but an instance
// does not have it while the loaded librbd lacks the function. `c_function` must be a literal.
py::object gated(py::object method, const char* c_function, const char* name);

// As define(), behind a gate.
template <class Class, class Function, class... Extra>
void define_gated(Class& cls, const char* c_function, const char* name, Function&& function,
                  const char* doc, const Extra&... extra) {
    std::string text = documented(name, "self", doc, extra...);
    py::cpp_function method(std::forward<Function>(function), py::name(name), py::is_method(cls),
                            py::sibling(py::getattr(cls, name, py::none())), text.c_str(),
                            extra...);
    py::setattr(cls, name, gated(std::move(method), c_function, name));
}

}  // namespace rbdxx::python
