#include <pybind11/stl.h>

#include <rbdxx/rados/ioctx.hpp>

#include "../support/callbacks.hpp"
#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// Returns a context as a Python object that knows the name it was opened by.
py::object named(IoCtx ioctx, const py::object& name) {
    py::object made = py::cast(std::move(ioctx));
    made.attr("name") = name;
    return made;
}

void close_ioctx(IoCtx& self) {
    Callbacks::close(*self.state());
}

// Returns the value of an attribute of the instance. The first access makes it by `make()`.
template <class Make>
py::object kept(const py::object& self, const char* name, const Make& make) {
    auto values = py::reinterpret_borrow<py::dict>(self.attr("__dict__"));
    return values.attr("setdefault")(name, make());
}

void define_placement(IoctxClass& ioctx) {
    auto set_namespace = [](const IoCtx& self, const std::optional<Name>& nspace) {
        without_gil([&] { self.set_namespace(nspace ? nspace->value : std::string()); });
    };
    auto get_namespace = [](const IoCtx& self) {
        return text(without_gil([&] { return self.get_namespace(); }));
    };
    auto set_locator = [](const IoCtx& self, const Name& loc_key) {
        without_gil([&] { self.set_locator(loc_key); });
    };
    auto get_locator = [](const IoCtx& self) {
        return text(without_gil([&] { return self.locator(); }));
    };
    define(ioctx, "set_namespace", set_namespace,
           R"(Set the namespace of the pool that later calls use.

Parameters
----------
nspace
    The namespace; '' or None means the default one; `LIBRADOS_ALL_NSPACES` lists objects of all.

Implements: rados_ioctx_set_namespace)",
           py::arg("nspace"));
    define(ioctx, "get_namespace", get_namespace,
           "Return the namespace.\n\nImplements: rados_ioctx_get_namespace");
    define(ioctx, "set_locator_key", set_locator,
           R"(Place and find objects by a key, in place of their names, from now on.

Parameters
----------
loc_key
    The key; '' means the objects' names.

Implements: rados_ioctx_locator_set_key)",
           py::arg("loc_key"));
    define(ioctx, "get_locator_key", get_locator, "Return the key that places objects.");
    ioctx.def_property("nspace", get_namespace, set_namespace, "The namespace.");
    ioctx.def_property("locator_key", get_locator, set_locator, "The key that places objects.");
}

}  // namespace

void bind_ioctx(RadosClass& rados, IoctxClass& ioctx) {
    define(
        rados, "open_ioctx",
        [](const Cluster& self, const Name& name) {
            return named(without_gil([&] { return IoCtx::open(self, name.value); }),
                         text(name.value));
        },
        R"(Open an I/O context of a pool, by its name.

Parameters
----------
ioctx_name
    The name of the pool.

Returns
-------
The context.

Raises
------
ObjectNotFound
    There is no such pool.

Examples
--------
>>> with cluster.open_ioctx("rbd") as pool:
...     print(pool.get_pool_name())
rbd

Implements: rados_ioctx_create)",
        py::arg("ioctx_name"));
    define(
        rados, "open_ioctx2",
        [](const Cluster& self, const I64& pool_id) {
            return named(without_gil([&] { return IoCtx::open(self, pool_id.value); }),
                         py::str(std::to_string(pool_id.value)));
        },
        R"(Open an I/O context of a pool, by its id.

Parameters
----------
pool_id
    The id of the pool.

Returns
-------
The context.

Raises
------
ObjectNotFound
    There is no such pool.

Implements: rados_ioctx_create2)",
        py::arg("pool_id"));
    define_constructor(
        ioctx,
        [](py::detail::value_and_holder& holder, const Cluster& cluster, const Name& name) {
            auto made = without_gil(
                [&] { return std::make_unique<IoCtx>(IoCtx::open(cluster, name.value)); });
            py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(holder.inst))
                .attr("name") = text(name.value);
            holder.value_ptr() = made.release();
        },
        "Open a pool, as `Rados.open_ioctx` does.\n\nImplements: rados_ioctx_create",
        py::arg("rados"), py::arg("name"));
    ioctx.attr("name") = py::none();
    ioctx.def_property_readonly(
        "lock",
        [](const py::object& self) {
            return kept(self, "_lock",
                        [] { return py::module_::import("threading").attr("Lock")(); });
        },
        "A `threading.Lock` of this context, for the program's own use.");
    define(
        ioctx, "close", [](IoCtx& self) { close_ioctx(self); },
        R"(Close the context. Images that were opened through it stay open. Closing twice does nothing.

Implements: rados_ioctx_destroy)");
    define(
        ioctx, "__enter__", [](py::object self) { return self; }, "The context itself.");
    define(
        ioctx, "__exit__",
        [](IoCtx& self, const py::object&, const py::object&, const py::object&) {
            close_ioctx(self);
            return false;
        },
        "Close the context. An exception of the body is raised further.",
        py::arg("type_") = py::none(), py::arg("value") = py::none(),
        py::arg("traceback") = py::none());
    ioctx.def_property_readonly(
        "state", [](const IoCtx& self) { return self.closed() ? "closed" : "open"; },
        "\"open\" or \"closed\".");
    define(
        ioctx, "require_ioctx_open", [](const IoCtx& self) { self.use(); },
        R"(Raise an exception if the context is closed.

Raises
------
IoctxStateError
    The context is closed.)");
    define_placement(ioctx);
    define(
        ioctx, "dup",
        [](const py::object& self) {
            const auto& context = self.cast<const IoCtx&>();
            int64_t id = 0;
            IoCtx other = without_gil([&] {
                id = context.pool_id();
                return context.duplicate();
            });
            // The stock module uses this name for a context that is opened by the pool's id.
            return named(std::move(other), py::str(std::to_string(id)));
        },
        "Return another context of the same pool, namespace and locator key.\n\n"
        "Implements: rados_ioctx_create2");
    define(
        ioctx, "get_pool_id",
        [](const IoCtx& self) { return without_gil([&] { return self.pool_id(); }); },
        "Return the pool's id.\n\nImplements: rados_ioctx_get_id");
    define(
        ioctx, "get_pool_name",
        [](const IoCtx& self) { return text(without_gil([&] { return self.pool_name(); })); },
        "Return the pool's name.\n\nImplements: rados_ioctx_get_pool_name");
    define(
        ioctx, "alignment",
        [](const IoCtx& self) { return without_gil([&] { return self.alignment(); }); },
        R"(Return the number of bytes that the length of a write must be a multiple of.

Returns
-------
The number, or None if the pool requires none.

Implements: rados_ioctx_pool_requires_alignment2, rados_ioctx_pool_required_alignment2)");
    define(
        ioctx, "get_last_version",
        [](const IoCtx& self) { return without_gil([&] { return self.last_version(); }); },
        R"(Return the version of the object that was read or written last through this context.

Implements: rados_get_last_version)");
    define(
        ioctx, "set_osdmap_full_try",
        [](const IoCtx& self) { without_gil([&] { self.set_full_try(true); }); },
        R"(Make writes to a full pool or cluster fail at once, instead of waiting for space.

Implements: rados_set_pool_full_try, rados_set_osdmap_full_try)");
    define(
        ioctx, "unset_osdmap_full_try",
        [](const IoCtx& self) { without_gil([&] { self.set_full_try(false); }); },
        R"(Make writes to a full pool or cluster wait for space.

Implements: rados_unset_pool_full_try, rados_unset_osdmap_full_try)");
}

}  // namespace rbdxx::python::rados
