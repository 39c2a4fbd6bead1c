#include <rbdxx/group.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/errors.hpp"
#include "support/gil.hpp"
#include "support/listing.hpp"
#include "support/long_call.hpp"

namespace rbdxx::python {

namespace {

class PyGroup {
public:
    PyGroup(IoCtxArgument ioctx, std::string name)
        : ioctx_(std::move(ioctx)), name_(std::move(name)) {}
    group::Group get() const { return {ioctx_, name_}; }
    const IoCtxArgument& ioctx() const { return ioctx_; }
    const std::string& name() const { return name_; }

private:
    IoCtxArgument ioctx_;
    std::string name_;
};

using GroupClass = py::class_<PyGroup>;

struct GroupImageIterator : Listing {};
struct GroupSnapIterator : Listing {};

py::list list_images(const PyGroup& group) {
    auto members = without_gil([&] { return group::images(group.get()); });
    py::list dicts;
    for (const auto& member : members) {
        py::dict dict;
        dict["name"] = text(member.name);
        dict["pool"] = member.pool;
        dict["state"] = member.state;
        dicts.append(dict);
    }
    return dicts;
}

py::dict to_dict(const group::Snapshot& snapshot) {
    py::dict dict;
    dict["name"] = text(snapshot.name);
    dict["state"] = snapshot.state;
    if (snapshot.details) {
        const auto& details = *snapshot.details;
        dict["id"] = text(details.id);
        dict["namespace_type"] = details.namespace_type;
        dict["image_snap_name"] = text(details.image_snapshot_name);
        py::list members;
        for (const auto& member : details.members) {
            py::dict one;
            one["pool_id"] = member.pool;
            one["snap_id"] = member.snapshot_id;
            one["image_name"] = text(member.image_name);
            members.append(one);
        }
        dict["image_snaps"] = members;
    }
    return dict;
}

py::list list_snapshots(const PyGroup& group) {
    auto snapshots = without_gil([&] { return group::snapshots(group.get()); });
    py::list dicts;
    for (const auto& snapshot : snapshots) {
        dicts.append(to_dict(snapshot));
    }
    return dicts;
}

void rename(const Rbd&, const IoCtxArgument& ioctx, const Name& src, const Name& dest) {
    try {
        without_gil([&] { group::rename(ioctx, src, dest); });
    } catch (const GroupError& error) {
        raise(Kind::group_rename, error);
        throw py::error_already_set();
    }
}

void define_pool(RbdClass& rbd) {
    define(
        rbd, "group_create",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            without_gil([&] { group::create(ioctx, name); });
        },
        R"(Create an empty group.

Parameters
----------
ioctx
    The pool, with its namespace.
name
    The name of the group.

Raises
------
ObjectExists
    There is a group of that name.

Implements: rbd_group_create)",
        py::arg("ioctx"), py::arg("name"));
    define(
        rbd, "group_list",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            auto names = without_gil([&] { return group::list(ioctx); });
            py::list list;
            for (const auto& name : names) {
                list.append(text(name));
            }
            return list;
        },
        R"(Return the names of the pool's groups.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
The names.

Implements: rbd_group_list)",
        py::arg("ioctx"));
    define(
        rbd, "group_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& name) {
            without_gil([&] { group::remove(ioctx, name); });
        },
        R"(Remove a group and its snapshots. Its images stay.

No error is raised if there is no such group.

Parameters
----------
ioctx
    The pool, with its namespace.
name
    The name of the group.

Implements: rbd_group_remove)",
        py::arg("ioctx"), py::arg("name"));
    define(rbd, "group_rename", rename,
           R"(Rename a group.

Parameters
----------
ioctx
    The pool, with its namespace.
src
    The name of the group.
dest
    The new name.

Raises
------
ObjectNotFound
    There is no such group. The exception is an ImageNotFound too.
ObjectExists
    There is a group of the new name. The exception is an ImageExists too.

Implements: rbd_group_rename)",
           py::arg("ioctx"), py::arg("src"), py::arg("dest"));
}

// Defines a method that makes one change to an image of a pool.
template <class Call>
void define_for_image(GroupClass& cls, const char* name, Call call, const char* doc,
                      const char* argument) {
    define(
        cls, name,
        [call](const PyGroup& self, const IoCtxArgument& image_ioctx, const Name& image) {
            without_gil([&] { call(self.get(), image_ioctx, image); });
        },
        doc, py::arg("image_ioctx"), py::arg(argument));
}

void define_images(py::module_& m, GroupClass& cls) {
    define_for_image(cls, "add_image", group::add_image,
                     R"(Add an image to the group.

Parameters
----------
image_ioctx
    The pool of the image, with its namespace.
image_name
    The name of the image.

Raises
------
ObjectNotFound
    There is no such image, or no such group.

Implements: rbd_group_image_add)",
                     "image_name");
    define_for_image(cls, "remove_image", group::remove_image,
                     R"(Take an image out of the group.

Parameters
----------
image_ioctx
    The pool of the image, with its namespace.
image_name
    The name of the image.

Raises
------
ObjectNotFound
    There is no such image, or no such group.

Implements: rbd_group_image_remove)",
                     "image_name");
    define_for_image(
        cls, "remove_image_by_id", group::remove_image_by_id,
        R"(Take an image out of the group by its id, for example one that is in the trash.

Parameters
----------
image_ioctx
    The pool of the image, with its namespace.
image_id
    The id of the image.

Raises
------
ObjectNotFound
    There is no such group.

Implements: rbd_group_image_remove_by_id)",
        "image_id");
    define(
        cls, "list_images",
        [m](const py::object& self) { return m.attr("GroupImageIterator")(self); },
        R"(List the images of the group.

Returns
-------
An iterator of dicts of `name` (str), `pool` (the pool's id) and `state`
(RBD_GROUP_IMAGE_STATE_*).

Raises
------
ObjectNotFound
    There is no such group; or an image of it is in the trash or its pool is gone, which the
    message says. Then librbd can list none of the images.

Implements: rbd_group_image_list)");
}

void define_snapshots(py::module_& m, GroupClass& cls) {
    define(
        cls, "create_snap",
        [](const PyGroup& self, const Name& snap_name, const Flags& flags) {
            without_gil([&] {
                group::create_snapshot(self.get(), snap_name, static_cast<uint32_t>(flags.value));
            });
        },
        R"(Take a snapshot of every image of the group, all at one point in time.

Parameters
----------
snap_name
    The name of the new snapshot.
flags
    RBD_SNAP_CREATE_* bits.

Raises
------
ObjectNotFound
    There is no such group.
ObjectExists
    The group has a snapshot of that name.
InvalidArgument
    There is no such flag.

Implements: rbd_group_snap_create2, rbd_group_snap_create)",
        py::arg("snap_name"), py::arg("flags") = 0);
    define(
        cls, "remove_snap",
        [](const PyGroup& self, const Name& snap_name) {
            without_gil([&] { group::remove_snapshot(self.get(), snap_name); });
        },
        R"(Remove a snapshot of the group.

Parameters
----------
snap_name
    The name of the snapshot.

Raises
------
ObjectNotFound
    There is no such group or snapshot.

Implements: rbd_group_snap_remove)",
        py::arg("snap_name"));
    define(
        cls, "rename_snap",
        [](const PyGroup& self, const Name& old_snap_name, const Name& new_snap_name) {
            without_gil([&] { group::rename_snapshot(self.get(), old_snap_name, new_snap_name); });
        },
        R"(Rename a snapshot of the group.

Parameters
----------
old_snap_name
    The name of the snapshot.
new_snap_name
    The new name.

Raises
------
ObjectNotFound
    There is no such group or snapshot.
ObjectExists
    The group has a snapshot of the new name.

Implements: rbd_group_snap_rename)",
        py::arg("old_snap_name"), py::arg("new_snap_name"));
    define(
        cls, "list_snaps",
        [m](const py::object& self) { return m.attr("GroupSnapIterator")(self); },
        R"(List the snapshots of the group.

Returns
-------
An iterator of dicts of `name` (str) and `state` (RBD_GROUP_SNAP_STATE_*). Since Ceph 20, each is
the dict that get_snap_info() returns.

Raises
------
ObjectNotFound
    There is no such group.

Implements: rbd_group_snap_list2, rbd_group_snap_list)");
    define_gated(
        cls, "rbd_group_snap_get_info", "get_snap_info",
        [](const PyGroup& self, const Name& snap_name) {
            return to_dict(
                without_gil([&] { return group::snapshot_info(self.get(), snap_name); }));
        },
        R"(Return what librbd knows about a snapshot of the group.

Parameters
----------
snap_name
    The name of the snapshot.

Returns
-------
A dict of `id`, `name`, `state`, `namespace_type`, `image_snap_name` and `image_snaps`, a list of
dicts of `pool_id`, `snap_id` and `image_name`.

Raises
------
ObjectNotFound
    There is no such group or snapshot.

Implements: rbd_group_snap_get_info)",
        py::arg("snap_name"));
    define(
        cls, "rollback_to_snap",
        [](const PyGroup& self, const Name& name, const py::object& on_progress,
           const py::object& timeout) {
            long_call(
                on_progress, timeout,
                [](const IoCtx& ioctx, const std::string& group, const std::string& snapshot,
                   const Progress& progress) {
                    group::rollback({ioctx, group}, snapshot, progress);
                },
                self.ioctx(), self.name(), name);
        },
        R"(Set every image of the group back to what it was at a snapshot.

Parameters
----------
name
    The name of the snapshot.
on_progress
    Called with (done, total). It may return -rbd.ECANCELED to stop; the images then hold data of both.
timeout
    The number of seconds that the call may take; None means no limit.

Raises
------
ObjectNotFound
    There is no such group or snapshot.
OperationCanceled
    The callback asked to stop.
Timeout
    The call did not end in time. librbd may go on with it.
InvalidArgument
    The images of the group are no longer those of the snapshot.

Implements: rbd_group_snap_rollback_with_progress)",
        py::arg("name"), py::kw_only(), py::arg("on_progress") = py::none(),
        py::arg("timeout") = py::none());
}

}  // namespace

void bind_group(py::module_& m, RbdClass& rbd, ImageClass& image) {
    define_pool(rbd);
    GroupClass cls(m, "Group",
                   R"(A group of images, named by its pool and its name.

Nothing is opened yet: the first call raises an error if there is no such group. It is a context manager.)");
    define_init(
        cls,
        py::init([](const IoCtxArgument& ioctx, const Name& name) { return PyGroup(ioctx, name); }),
        "The group `name` of the ioctx's pool and namespace.", py::arg("ioctx"), py::arg("name"));
    bind_listing<GroupImageIterator, const PyGroup&>(
        m, "GroupImageIterator", list_images,
        "The group's images, each a dict of name, pool (its id) and state "
        "(RBD_GROUP_IMAGE_STATE_*).\n\nImplements: rbd_group_image_list",
        py::arg("group"));
    bind_listing<GroupSnapIterator, const PyGroup&>(
        m, "GroupSnapIterator", list_snapshots,
        "The group's snapshots, each a dict of name and state (RBD_GROUP_SNAP_STATE_*); since "
        "Ceph 20 as get_snap_info() returns it.\n\nImplements: rbd_group_snap_list2, "
        "rbd_group_snap_list",
        py::arg("group"));
    define_context<PyGroup>(
        cls, [](const PyGroup&) {}, "The group itself.", "Does nothing.");
    define(
        cls, "__repr__",
        [](const PyGroup& self) { return text("<rbd.Group " + quoted(self.name()) + ">"); },
        "A readable text.");
    cls.def_property_readonly(
        "name", [](const PyGroup& self) { return text(self.name()); },
        "The name that the object was made with.");
    define_gated(
        cls, "rbd_group_get_id", "id",
        [](const PyGroup& self) {
            return text(without_gil([&] { return group::id(self.get()); }));
        },
        R"(Return the id of the group.

Raises
------
ObjectNotFound
    There is no such group.

Implements: rbd_group_get_id)");
    define_images(m, cls);
    define_snapshots(m, cls);
    define(
        image, "group",
        [](const PyImage& self) {
            group::Owner owner = without_gil([&] { return group::of_image(self); });
            py::dict dict;
            dict["pool"] = owner.pool;
            dict["name"] = text(owner.name);
            return dict;
        },
        R"(Return the group that the image belongs to.

Returns
-------
A dict of `pool` (the id of the group's pool) and `name`; -1 and '' if it belongs to none.

Implements: rbd_get_group)");
}

}  // namespace rbdxx::python
