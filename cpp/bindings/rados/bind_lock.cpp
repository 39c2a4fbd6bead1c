#include <pybind11/stl.h>

#include <rbdxx/rados/lock.hpp>

#include <cmath>

#include "../support/define.hpp"
#include "../support/gil.hpp"
#include "bindings.hpp"

namespace rbdxx::python::rados {

namespace {

// Converts a number of seconds.
std::optional<std::chrono::microseconds> duration_of(const py::object& duration) {
    if (duration.is_none()) {
        return std::nullopt;
    }
    const double seconds = PyFloat_AsDouble(duration.ptr());
    if (seconds == -1.0 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    constexpr double most = 2147483647;
    if (std::isnan(seconds)) {
        throw py::value_error("duration must be a number of seconds, not nan");
    }
    if (!(seconds >= 0 && seconds <= most)) {
        PyErr_SetString(PyExc_OverflowError, "duration must be 0 to 2147483647 seconds");
        throw py::error_already_set();
    }
    return std::chrono::microseconds(std::llround(seconds * 1e6));
}

topics::lock::Request request_of(const Name& name, const Name& cookie, const Name& desc,
                                 const py::object& duration, const U8& flags) {
    return {name.value, cookie.value, desc.value, duration_of(duration), flags.value};
}

py::dict holders_of(const IoCtx& self, const Name& key, const Name& name) {
    auto found = without_gil([&] { return topics::lock::list(self, key, name); });
    py::list lockers;
    for (const auto& holder : found.holders) {
        lockers.append(
            py::make_tuple(text(holder.client), text(holder.cookie), text(holder.address)));
    }
    py::dict answer;
    answer["tag"] = text(found.tag);
    answer["exclusive"] = found.exclusive;
    answer["lockers"] = lockers;
    return answer;
}

}  // namespace

void bind_lock(IoctxClass& ioctx) {
    define(
        ioctx, "lock_exclusive",
        [](const IoCtx& self, const Name& key, const Name& name, const Name& cookie,
           const Name& desc, const py::object& duration, const U8& flags) {
            auto request = request_of(name, cookie, desc, duration, flags);
            without_gil([&] { topics::lock::exclusive(self, key, request); });
        },
        R"(Acquire an exclusive lock on an object.

Parameters
----------
key
    The name of the object.
name
    The name of the lock.
cookie
    A name that tells the locks of one client apart.
desc
    A description.
duration
    After how many seconds the lock is released; None for never.
flags
    1 renews the lock.

Raises
------
ObjectBusy
    Another client has the lock.
ObjectExists
    This client has the lock, with the same cookie.

Examples
--------
>>> ioctx.lock_exclusive("greeting", "editing", "window-1", duration=30)
>>> ioctx.unlock("greeting", "editing", "window-1")

Implements: rados_lock_exclusive)",
        py::arg("key"), py::arg("name"), py::arg("cookie"), py::arg("desc") = "",
        py::arg("duration") = py::none(), py::arg("flags") = 0);
    define(
        ioctx, "lock_shared",
        [](const IoCtx& self, const Name& key, const Name& name, const Name& cookie,
           const Name& tag, const Name& desc, const py::object& duration, const U8& flags) {
            auto request = request_of(name, cookie, desc, duration, flags);
            without_gil([&] { topics::lock::shared(self, key, request, tag); });
        },
        R"(Acquire a lock on an object together with others that use the same tag.

Parameters
----------
key
    The name of the object.
name
    The name of the lock.
cookie
    A name that tells the locks of one client apart.
tag
    A name that all who share the lock use.
desc
    A description.
duration
    After how many seconds the lock is released; None for never.
flags
    1 renews the lock.

Raises
------
ObjectBusy
    Another client has the lock in another way.
ObjectExists
    This client has the lock, with the same cookie.

Implements: rados_lock_shared)",
        py::arg("key"), py::arg("name"), py::arg("cookie"), py::arg("tag"), py::arg("desc") = "",
        py::arg("duration") = py::none(), py::arg("flags") = 0);
    define(
        ioctx, "unlock",
        [](const IoCtx& self, const Name& key, const Name& name, const Name& cookie) {
            without_gil([&] { topics::lock::release(self, key, name, cookie); });
        },
        R"(Release a lock of this client.

Parameters
----------
key
    The name of the object.
name
    The name of the lock.
cookie
    The name with which it was acquired.

Raises
------
ObjectNotFound
    This client does not have the lock.

Implements: rados_unlock)",
        py::arg("key"), py::arg("name"), py::arg("cookie"));
    define(
        ioctx, "break_lock",
        [](const IoCtx& self, const Name& key, const Name& name, const Name& client,
           const Name& cookie) {
            without_gil([&] { topics::lock::break_lock(self, key, name, client, cookie); });
        },
        R"(Take a lock away from another client.

Parameters
----------
key
    The name of the object.
name
    The name of the lock.
client
    The client, as `list_lockers` names it.
cookie
    The cookie, as `list_lockers` names it.

Raises
------
ObjectNotFound
    That client does not have the lock.

Implements: rados_break_lock)",
        py::arg("key"), py::arg("name"), py::arg("client"), py::arg("cookie"));
    define(ioctx, "list_lockers", holders_of,
           R"(Return the holders of a lock on an object.

Parameters
----------
key
    The name of the object.
name
    The name of the lock.

Returns
-------
A dict: `tag` of a shared lock, whether the lock is `exclusive`, and `lockers`, a list of (client,
cookie, address), which is empty if nobody holds the lock.

Implements: rados_list_lockers)",
           py::arg("key"), py::arg("name"));
}

}  // namespace rbdxx::python::rados
