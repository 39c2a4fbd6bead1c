// Long calls: they report their progress, and a signal ends the wait for them.
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

// Returns the handle in an argument of a call, if it has one.
template <class Argument>
void add_handle(Handles&, const Argument&) {}
inline void add_handle(Handles& handles, const Image& image) {
    handles.push_back(image.state());
}
inline void add_handle(Handles& handles, const IoCtxArgument& ioctx) {
    handles.push_back(ioctx.ioctx->state());
}

// long_call() for a call that uses these handles. `call` owns everything else that it uses.
void run_long_call(const py::object& on_progress, const py::object& timeout, Handles handles,
                   std::function<void(const Progress&)> call);

// Calls function(arguments..., progress) on a new thread, without the GIL, with copies of the
// arguments. Meanwhile this thread reports progress to `on_progress` (a callable or None) and
// watches for signals.
//
// If either raises, librbd is asked to stop; some of its calls ignore that. An exception of
// `on_progress` is raised here once the call has ended. An exception of a signal handler waits at
// most five seconds for that, and not at all after a second signal; then the call is abandoned. An
// abandoned call continues on its own and keeps its handles, but a close of a handle does not wait
// for it. A call that has not ended after `timeout` (seconds, or None) is abandoned too, and
// Timeout is raised.
//
// A child process that a callback forks gets ForkedError, because the call belongs to the parent.
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
