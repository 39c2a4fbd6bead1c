// Long calls: they report how far they are, and a signal ends the wait for them.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <rbdxx/image.hpp>
#include <rbdxx/progress.hpp>

#include "arguments.hpp"

namespace rbdxx::python {

namespace py = pybind11;

using Handles = std::vector<std::shared_ptr<Handle>>;

// What of a call's arguments is a handle.
template <class Argument>
void add_handle(Handles&, const Argument&) {}
inline void add_handle(Handles& handles, const Image& image) {
    handles.push_back(image.state());
}
inline void add_handle(Handles& handles, const IoCtxArgument& ioctx) {
    handles.push_back(ioctx.ioctx->state());
}

// long_call() of what uses these handles; `call` owns whatever else it works on.
void run_long_call(const py::object& on_progress, const py::object& timeout, Handles handles,
                   std::function<void(const Progress&)> call);

// Calls function(arguments..., progress) on a thread of its own, without the GIL, with copies of
// the arguments, while this one reports progress to `on_progress` (a callable or None) and watches
// for signals.
//
// Whatever these raise makes librbd be asked to stop, where it heeds that. What `on_progress`
// raises is raised here once the call has ended. What a signal handler raises does not wait for
// that for ever: after five seconds, or at once for a second signal, the call is abandoned. It then
// goes on alone, and keeps its handles, which nobody waits for in order to close them. So does a
// call that has not ended after `timeout` (seconds, or None), which raises Timeout.
//
// A child that a callback forks off gets ForkedError: the call is the parent's.
template <class Function, class... Arguments>
void long_call(const py::object& on_progress, const py::object& timeout, Function function,
               const Arguments&... arguments) {
    Handles handles;
    (add_handle(handles, arguments), ...);
    run_long_call(
        on_progress, timeout, std::move(handles),
        [function, own = std::make_tuple(arguments...)](const Progress& progress) {
            std::apply([&](const Arguments&... each) { std::invoke(function, each..., progress); },
                       own);
        });
}

}  // namespace rbdxx::python
