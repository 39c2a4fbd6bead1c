#include <rbdxx/lock.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"

namespace rbdxx::python {

namespace {

struct LockOwnerIterator : Listing {};

py::list list_owners(const PyImage& image) {
    auto owners = without_gil([&] { return lock::owners(image); });
    py::list dicts;
    for (const auto& name : owners.names) {
        py::dict dict;
        dict["mode"] = owners.mode;
        dict["owner"] = text(name);
        dicts.append(dict);
    }
    return dicts;
}

py::object list_lockers(const PyImage& self) {
    auto found = without_gil([&] { return lock::list(self); });
    py::list lockers;
    for (const auto& locker : found.lockers) {
        lockers.append(
            py::make_tuple(text(locker.client), text(locker.cookie), text(locker.address)));
    }
    if (lockers.empty()) {
        return py::list();
    }
    py::object dict = py::dict();
    dict["tag"] = text(found.tag);
    dict["exclusive"] = found.exclusive;
    dict["lockers"] = lockers;
    return dict;
}

void define_advisory(ImageClass& image) {
    define(image, "list_lockers", list_lockers,
           R"(List the holders of advisory locks.

Returns
-------
[] if nobody holds one, else a dict of `tag` (str), `exclusive` (bool) and `lockers`, a list of
(client, cookie, address) tuples of str.

Examples
--------
>>> lockers = image.list_lockers()

Implements: rbd_list_lockers)");
    define(
        image, "lock_exclusive",
        [](const PyImage& self, const Name& cookie) {
            without_gil([&] { lock::exclusive(self, cookie); });
        },
        R"(Take an advisory lock that no other client can share.

For images without the feature exclusive-lock. If the image has it, every write waits until the
advisory lock is released, whoever holds it.

Parameters
----------
cookie
    A name that tells the locks of one client apart.

Raises
------
ImageBusy
    Another lock is held, or a client has the exclusive lock.
ImageExists
    This client holds the same lock already.

Implements: rbd_lock_exclusive)",
        py::arg("cookie"));
    define(
        image, "lock_shared",
        [](const PyImage& self, const Name& cookie, const Name& tag) {
            without_gil([&] { lock::shared(self, cookie, tag); });
        },
        R"(Take an advisory lock that other clients can hold too, if they use the same tag.

For images without the feature exclusive-lock. If the image has it, every write waits until the
advisory lock is released, whoever holds it.

Parameters
----------
cookie
    A name that tells the locks of one client apart.
tag
    A name that all who share the lock use.

Raises
------
ImageBusy
    A lock of another kind or tag is held, or a client has the exclusive lock.
ImageExists
    This client holds the same lock already.

Implements: rbd_lock_shared)",
        py::arg("cookie"), py::arg("tag"));
    define(
        image, "unlock",
        [](const PyImage& self, const Name& cookie) {
            without_gil([&] { lock::unlock(self, cookie); });
        },
        R"(Release an advisory lock of this client.

Parameters
----------
cookie
    The name that the lock was taken with.

Raises
------
ImageNotFound
    This client holds no such lock.

Implements: rbd_unlock)",
        py::arg("cookie"));
    define(
        image, "break_lock",
        [](const PyImage& self, const Name& client, const Name& cookie) {
            without_gil([&] { lock::break_advisory(self, client, cookie); });
        },
        R"(Take an advisory lock away from its client.

The cluster puts that client on its blocklist, unless its configuration says otherwise. A lock of
this very connection is released instead.

Parameters
----------
client, cookie
    The two as list_lockers() returns them.

Raises
------
ImageNotFound
    The client holds no such lock.
InvalidArgument
    client is not the name of a client, such as "client.4123".

Implements: rbd_break_lock)",
        py::arg("client"), py::arg("cookie"));
}

void define_managed(py::module_& m, ImageClass& image) {
    define(
        image, "is_exclusive_lock_owner",
        [](const PyImage& self) { return without_gil([&] { return lock::is_owner(self); }); },
        R"(Return whether this handle holds the image's exclusive lock.

Returns
-------
True if it does.

Examples
--------
>>> image.write(b"hello", 0)
5
>>> image.is_exclusive_lock_owner()
True

Implements: rbd_is_exclusive_lock_owner)");
    define(
        image, "lock_acquire",
        [](const PyImage& self, const Flags& lock_mode) {
            without_gil([&] { lock::acquire(self, lock_mode); });
        },
        R"(Take the exclusive lock, and keep it until lock_release() or close().

Parameters
----------
lock_mode
    RBD_LOCK_MODE_EXCLUSIVE, or RBD_LOCK_MODE_EXCLUSIVE_TRANSIENT (Ceph 20), which passes the lock
    on to a client that asks for it.

Raises
------
ReadOnlyImage
    Another client keeps the lock, or the image is open read-only.
InvalidArgument
    The image does not have the feature exclusive-lock.

Examples
--------
>>> image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
>>> image.write(b"mine", 0)
4
>>> image.lock_release()

Implements: rbd_lock_acquire)",
        py::arg("lock_mode"));
    define(
        image, "lock_release",
        [](const PyImage& self) { without_gil([&] { lock::release(self); }); },
        R"(Release the exclusive lock.

Raises
------
InvalidArgument
    This handle does not hold the lock, or the image does not have the feature.

Implements: rbd_lock_release)");
    define(
        image, "lock_get_owners",
        [m](const py::object& self) { return m.attr("LockOwnerIterator")(self); },
        R"(List the owners of the exclusive lock.

Returns
-------
An iterator of dicts of `mode` (RBD_LOCK_MODE_*) and `owner` (the address of the client, str). It
is empty if nobody holds the lock.

Raises
------
InvalidArgument
    The handle is read-only or at a snapshot, or the image does not have the feature
    exclusive-lock.

Examples
--------
>>> image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
>>> [owner["mode"] == rbd.RBD_LOCK_MODE_EXCLUSIVE for owner in image.lock_get_owners()]
[True]

Implements: rbd_lock_get_owners)");
    define(
        image, "lock_break",
        [](const PyImage& self, const Flags& lock_mode, const Name& lock_owner) {
            without_gil([&] { lock::break_managed(self, lock_mode, lock_owner); });
        },
        R"(Take the exclusive lock away from a dead owner.

The cluster puts that client on its blocklist.

Parameters
----------
lock_mode
    RBD_LOCK_MODE_EXCLUSIVE.
lock_owner
    The owner as lock_get_owners() returns it.

Raises
------
ImageBusy
    Another client holds the lock.

Implements: rbd_lock_break)",
        py::arg("lock_mode"), py::arg("lock_owner"));
}

}  // namespace

void bind_lock(py::module_& m, ImageClass& image) {
    bind_listing<LockOwnerIterator, const PyImage&>(
        m, "LockOwnerIterator", list_owners,
        "The holders of the image's exclusive lock, each a dict of mode (RBD_LOCK_MODE_*) and "
        "owner.\n\nImplements: rbd_lock_get_owners",
        py::arg("image"));
    define_advisory(image);
    define_managed(m, image);
}

}  // namespace rbdxx::python
