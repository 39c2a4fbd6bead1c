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
        return lockers;
    }
    py::dict dict;
    dict["tag"] = text(found.tag);
    dict["exclusive"] = found.exclusive;
    dict["lockers"] = lockers;
    return dict;
}

void define_advisory(ImageClass& image) {
    define(image, "list_lockers", list_lockers,
           "Who holds advisory locks: [] where nobody does, else a dict of tag (str), exclusive\n"
           "(bool) and lockers, a list of (client, cookie, address).\n\n"
           "Implements: rbd_list_lockers");
    define(
        image, "lock_exclusive",
        [](const PyImage& self, const Name& cookie) {
            without_gil([&] { lock::exclusive(self, cookie); });
        },
        "Takes an advisory lock that nobody else can share.\n\n"
        "For images without the feature exclusive-lock: with it, every write waits until the\n"
        "advisory lock is gone, and while a client has the exclusive lock this is ImageBusy.\n"
        "Raises ImageBusy where another lock is held, ImageExists where it is this very one.\n\n"
        "Implements: rbd_lock_exclusive",
        py::arg("cookie"));
    define(
        image, "lock_shared",
        [](const PyImage& self, const Name& cookie, const Name& tag) {
            without_gil([&] { lock::shared(self, cookie, tag); });
        },
        "Takes an advisory lock that others of the same tag can hold too.\n\n"
        "For images without the feature exclusive-lock: with it, every write waits until the\n"
        "advisory lock is gone, and while a client has the exclusive lock this is ImageBusy.\n"
        "Raises ImageBusy where another lock is held, ImageExists where it is this very one.\n\n"
        "Implements: rbd_lock_shared",
        py::arg("cookie"), py::arg("tag"));
    define(
        image, "unlock",
        [](const PyImage& self, const Name& cookie) {
            without_gil([&] { lock::unlock(self, cookie); });
        },
        "Gives up an advisory lock of this client.\n\nRaises ImageNotFound.\n\n"
        "Implements: rbd_unlock",
        py::arg("cookie"));
    define(
        image, "break_lock",
        [](const PyImage& self, const Name& client, const Name& cookie) {
            without_gil([&] { lock::break_advisory(self, client, cookie); });
        },
        "Takes an advisory lock away from its client, which the cluster shuts out unless its\n"
        "configuration says otherwise. client and cookie are those of list_lockers().\n\n"
        "Raises ImageNotFound, InvalidArgument for a client that is no client's name.\n\n"
        "Implements: rbd_break_lock",
        py::arg("client"), py::arg("cookie"));
}

void define_managed(py::module_& m, ImageClass& image) {
    define(
        image, "is_exclusive_lock_owner",
        [](const PyImage& self) { return without_gil([&] { return lock::is_owner(self); }); },
        "Whether this handle holds the image's exclusive lock.\n\n"
        "Implements: rbd_is_exclusive_lock_owner");
    define(
        image, "lock_acquire",
        [](const PyImage& self, const Flags& lock_mode) {
            without_gil([&] { lock::acquire(self, lock_mode); });
        },
        "Takes the exclusive lock, and keeps it until lock_release() or close().\n\n"
        "lock_mode: RBD_LOCK_MODE_EXCLUSIVE, or RBD_LOCK_MODE_EXCLUSIVE_TRANSIENT, which gives it\n"
        "up to a client that asks (Ceph 20). Raises ReadOnlyImage where another client keeps it,\n"
        "InvalidArgument where the image has no such feature.\n\n"
        "Implements: rbd_lock_acquire",
        py::arg("lock_mode"));
    define(
        image, "lock_release",
        [](const PyImage& self) { without_gil([&] { lock::release(self); }); },
        "Gives up the exclusive lock.\n\n"
        "Raises InvalidArgument where this handle does not hold it or the image has no such\n"
        "feature.\n\nImplements: rbd_lock_release");
    define(
        image, "lock_get_owners",
        [m](const py::object& self) { return m.attr("LockOwnerIterator")(self); },
        "Who holds the exclusive lock, as an iterator of dicts of mode and owner.\n\n"
        "Raises InvalidArgument where the image has no such feature.\n\n"
        "Implements: rbd_lock_get_owners");
    define(
        image, "lock_break",
        [](const PyImage& self, const Flags& lock_mode, const Name& lock_owner) {
            without_gil([&] { lock::break_managed(self, lock_mode, lock_owner); });
        },
        "Takes the exclusive lock away from a dead owner, as lock_get_owners() names it; the\n"
        "cluster shuts that client out.\n\n"
        "lock_mode: RBD_LOCK_MODE_EXCLUSIVE. Raises ImageBusy where the owner is another one.\n\n"
        "Implements: rbd_lock_break",
        py::arg("lock_mode"), py::arg("lock_owner"));
}

}  // namespace

void bind_lock(py::module_& m, ImageClass& image) {
    bind_listing<LockOwnerIterator, const PyImage&>(
        m, "LockOwnerIterator", list_owners,
        "The holders of the image's exclusive lock, each a dict of mode (RBD_LOCK_MODE_*) and "
        "owner. Implements: rbd_lock_get_owners",
        py::arg("image"));
    define_advisory(image);
    define_managed(m, image);
}

}  // namespace rbdxx::python
