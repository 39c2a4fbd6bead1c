"""Groups of images and their snapshots."""

from __future__ import annotations

import errno
import secrets
from typing import Any, Callable, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support.refusals import Calls, refuses_wrong_types, with_arguments

NAME_AND_STATE = {"name", "state"}
DETAILS = {"id", "namespace_type", "image_snap_name", "image_snaps"}


@pytest.fixture
def name(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> Iterator[str]:
    """Provide a group that is removed before its image."""
    group = f"group-{secrets.token_hex(4)}"
    rbd.RBD().group_create(rbd_ioctx, group)
    yield group
    rbd.RBD().group_remove(rbd_ioctx, group)


@pytest.fixture
def group(rbd_ioctx: rbd.rados.Ioctx, name: str) -> rbd.Group:
    return rbd.Group(rbd_ioctx, name)


# The groups of a pool


def test_groups_are_created_listed_renamed_and_removed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    call = rbd.RBD()
    assert call.group_list(rbd_ioctx) == []
    call.group_create(rbd_ioctx, "one")
    call.group_create(ioctx=rbd_ioctx, name="zwei \u00e4")
    with pytest.raises(rbd.ObjectExists) as error:
        call.group_create(rbd_ioctx, "one")
    assert error.value.errno == 17
    assert sorted(call.group_list(ioctx=rbd_ioctx)) == ["one", "zwei \u00e4"]
    call.group_rename(rbd_ioctx, "one", "three")
    call.group_rename(ioctx=rbd_ioctx, src="three", dest=b"four")
    assert sorted(call.group_list(rbd_ioctx)) == ["four", "zwei \u00e4"]
    call.group_remove(rbd_ioctx, "four")
    call.group_remove(ioctx=rbd_ioctx, name="zwei \u00e4")
    assert call.group_list(rbd_ioctx) == []
    # As in the stock module, removing a missing group succeeds.
    call.group_remove(rbd_ioctx, "four")


def test_many_groups_are_all_listed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    names = sorted(f"{i:03}" + "x" * 40 for i in range(40))
    for one in names:
        rbd.RBD().group_create(rbd_ioctx, one)
    assert sorted(rbd.RBD().group_list(rbd_ioctx)) == names
    for one in names:
        rbd.RBD().group_remove(rbd_ioctx, one)


def test_errors_of_renaming_are_of_both_classes(rbd_ioctx: rbd.rados.Ioctx, name: str) -> None:
    # The stock module raises the one class and documents the other.
    for missing in (rbd.ImageNotFound, rbd.ObjectNotFound):
        with pytest.raises(missing):
            rbd.RBD().group_rename(rbd_ioctx, "missing", "other")
    rbd.RBD().group_create(rbd_ioctx, "taken")
    for exists in (rbd.ImageExists, rbd.ObjectExists):
        with pytest.raises(exists):
            rbd.RBD().group_rename(rbd_ioctx, name, "taken")
    rbd.RBD().group_remove(rbd_ioctx, "taken")


@pytest.mark.needs("rbd_group_get_id")
def test_a_group_has_a_constant_id(group: rbd.Group) -> None:
    assert group.id()
    assert group.id() == group.id()


# Its images


def test_images_are_added_listed_and_removed(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    assert list(group.list_images()) == []
    assert rbd_image.group() == {"pool": -1, "name": ""}
    group.add_image(rbd_ioctx, rbd_image.name)
    members = group.list_images()
    assert isinstance(members, rbd.GroupImageIterator)
    expected = {
        "name": rbd_image.name,
        "pool": rbd_ioctx.get_pool_id(),
        "state": rbd.RBD_GROUP_IMAGE_STATE_ATTACHED,
    }
    assert list(members) == list(members) == [expected]
    assert rbd_image.group() == {"pool": rbd_ioctx.get_pool_id(), "name": group.name}
    group.remove_image(image_ioctx=rbd_ioctx, image_name=rbd_image.name)
    assert list(group.list_images()) == []
    group.add_image(image_ioctx=rbd_ioctx, image_name=rbd_image.name)
    group.remove_image_by_id(image_ioctx=rbd_ioctx, image_id=rbd_image.id())
    assert list(group.list_images()) == []
    assert rbd_image.group()["name"] == ""


def test_a_missing_image_is_refused(rbd_ioctx: rbd.rados.Ioctx, group: rbd.Group) -> None:
    for call in (group.add_image, group.remove_image):
        with pytest.raises(rbd.ObjectNotFound) as error:
            call(rbd_ioctx, "missing")
        assert error.value.errno == 2
    # librbd does not check an id, because only the membership may be left.
    group.remove_image_by_id(rbd_ioctx, "missing")


def test_a_member_image_cannot_be_removed(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    group.add_image(rbd_ioctx, rbd_image.name)
    rbd_image.close()
    with pytest.raises((rbd.ImageMemberOfGroup, rbd.ImageBusy)):
        rbd.RBD().remove(rbd_ioctx, str(rbd_image.name))
    group.remove_image(rbd_ioctx, rbd_image.name)


# Members that librbd cannot name


@pytest.fixture
def lost_pool(rbd_cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Return a pool with an image, `lost`: the ioctx, and a function that deletes the pool."""
    name = f"lost-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)

        def delete() -> None:
            cluster.delete_pool(name)

        with cluster.open_ioctx(name) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
            rbd.RBD().create(ioctx, "lost", 1 << 20)
            delete.ioctx = ioctx  # type: ignore[attr-defined]
            yield delete
        if cluster.pool_exists(name):
            cluster.delete_pool(name)


@pytest.fixture
def mixed(
    rbd_cluster: Cluster, rbd_image: rbd.Image, lost_pool: Any
) -> Iterator[Tuple[rbd.Group, rbd.Image]]:
    """Provide a group of the default namespace with two images, one of them in the lost pool."""
    name, kept = f"group-{secrets.token_hex(4)}", f"kept-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        rbd.RBD().create(ioctx, kept, 1 << 20)
        rbd.RBD().group_create(ioctx, name)
        group = rbd.Group(ioctx, name)
        group.add_image(ioctx, kept)
        group.add_image(lost_pool.ioctx, "lost")
        with rbd.Image(ioctx, kept) as image:
            yield group, image
        if name in rbd.RBD().group_list(ioctx):
            rbd.RBD().group_remove(ioctx, name)
        rbd.RBD().remove(ioctx, kept)


def trash(ioctx: rbd.rados.Ioctx, member: str) -> bool:
    """Move a member to the trash, or return False: librbd of Ceph 20 refuses that."""
    if not rbd.supports("rbd_group_snap_get_info"):
        rbd.RBD().trash_move(ioctx, member, 0)
        return True
    with pytest.raises(rbd.ImageMemberOfGroup):
        rbd.RBD().trash_move(ioctx, member, 0)
    return False


def test_a_member_in_the_trash_is_named(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    """The group does not look empty, and the remedy that the error names works."""
    rbd.RBD().create(rbd_ioctx, "other", 1 << 20)
    group.add_image(rbd_ioctx, "other")
    group.add_image(rbd_ioctx, rbd_image.name)
    with rbd.Image(rbd_ioctx, "other") as other:
        image_id = other.id()
    if not trash(rbd_ioctx, "other"):
        return
    with pytest.raises(rbd.ObjectNotFound, match=f"'{image_id}'.*trash") as error:
        group.list_images()
    assert error.value.errno == errno.ENOENT
    group.remove_image_by_id(rbd_ioctx, image_id)
    assert [member["name"] for member in group.list_images()] == [rbd_image.name]
    rbd.RBD().trash_remove(rbd_ioctx, image_id)


def test_a_restored_member_is_listed_again(rbd_ioctx: rbd.rados.Ioctx, group: rbd.Group) -> None:
    rbd.RBD().create(rbd_ioctx, "other", 1 << 20)
    group.add_image(rbd_ioctx, "other")
    if not trash(rbd_ioctx, "other"):
        return
    with pytest.raises(rbd.ObjectNotFound):
        group.list_images()
    (entry,) = rbd.RBD().trash_list(rbd_ioctx)
    rbd.RBD().trash_restore(rbd_ioctx, entry["id"], "again")
    assert [member["name"] for member in group.list_images()] == ["again"]
    group.remove_image(rbd_ioctx, "again")
    rbd.RBD().remove(rbd_ioctx, "again")


def test_a_group_with_a_member_in_the_trash_can_be_removed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "other", 1 << 20)
    rbd.RBD().group_create(rbd_ioctx, "leaves")
    rbd.Group(rbd_ioctx, "leaves").add_image(rbd_ioctx, "other")
    trashed = trash(rbd_ioctx, "other")
    rbd.RBD().group_remove(rbd_ioctx, "leaves")
    assert rbd.RBD().group_list(rbd_ioctx) == []
    if not trashed:
        rbd.RBD().trash_move(rbd_ioctx, "other", 0)
    (entry,) = rbd.RBD().trash_list(rbd_ioctx)
    rbd.RBD().trash_restore(rbd_ioctx, entry["id"], "other")
    with rbd.Image(rbd_ioctx, "other") as image:
        assert image.group()["name"] == ""
    rbd.RBD().remove(rbd_ioctx, "other")


@pytest.mark.parametrize("snapshots", [0, 2])
def test_a_group_whose_member_lost_its_pool_can_be_removed(
    mixed: Tuple[rbd.Group, rbd.Image], lost_pool: Any, snapshots: int, rbd_cluster: Cluster
) -> None:
    """Listing names the pool, and removing leaves nothing on the remaining image."""
    group, kept = mixed
    for number in range(snapshots):
        group.create_snap(f"snap{number}")
    assert len(list(kept.list_snaps())) == snapshots
    number = lost_pool.ioctx.get_pool_id()
    lost_pool()
    with pytest.raises(rbd.ObjectNotFound, match=f"pool {number}, which does not exist"):
        group.list_images()
    if rbd.supports("rbd_group_snap_get_info") and snapshots:
        # Ceph 20 asks each member for the snapshots.
        with pytest.raises(rbd.ObjectNotFound):
            group.list_snaps()
    else:
        assert len(list(group.list_snaps())) == snapshots
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        rbd.RBD().group_remove(ioctx, group.name)
        assert group.name not in rbd.RBD().group_list(ioctx)
        with rbd.Image(ioctx, kept.name) as image:
            assert list(image.list_snaps()) == []
            assert image.group()["name"] == ""


@pytest.mark.slow
def test_more_members_than_one_call_lists_are_all_listed(
    rbd_ioctx: rbd.rados.Ioctx, group: rbd.Group
) -> None:
    names = [f"member{number}" for number in range(130)]
    ids = []
    for one in names:
        rbd.RBD().create(rbd_ioctx, one, 1 << 20)
        group.add_image(rbd_ioctx, one)
        with rbd.Image(rbd_ioctx, one) as image:
            ids.append(image.id())
    if trash(rbd_ioctx, names[0]):
        with pytest.raises(rbd.ObjectNotFound) as error:
            group.list_images()
        assert [one for one in ids if f"'{one}'" in str(error.value)] == ids[:1]
        rbd.RBD().trash_restore(rbd_ioctx, ids[0], names[0])
    assert len(list(group.list_images())) == len(names)
    for one in names:
        group.remove_image(rbd_ioctx, one)
        rbd.RBD().remove(rbd_ioctx, one)


# Its snapshots


def test_a_group_is_rolled_back_to_a_snapshot(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    group.add_image(rbd_ioctx, rbd_image.name)
    rbd_image.write(b"before", 0)
    group.create_snap("first")
    with pytest.raises(rbd.ObjectExists):
        group.create_snap(snap_name="first", flags=0)
    snapshots = group.list_snaps()
    assert isinstance(snapshots, rbd.GroupSnapIterator)
    (snapshot,) = list(snapshots)
    assert list(snapshots) == [snapshot]
    assert set(snapshot) in (NAME_AND_STATE, NAME_AND_STATE | DETAILS)
    assert (snapshot["name"], snapshot["state"]) == ("first", rbd.RBD_GROUP_SNAP_STATE_COMPLETE)
    rbd_image.write(b"after!", 0)
    rbd_image.flush()
    group.rename_snap("first", "second")
    rbd_image.close()
    seen: List[Tuple[int, int]] = []
    group.rollback_to_snap("second", on_progress=lambda *progress: seen.append(progress))
    assert seen
    assert all(0 <= done <= total for done, total in seen)
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        assert image.read(0, 6) == b"before"
        image.write(b"after!", 0)
    group.rename_snap(old_snap_name="second", new_snap_name="third")
    group.rollback_to_snap(name="third")
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        assert image.read(0, 6) == b"before"
    group.remove_snap(snap_name="third")
    assert list(group.list_snaps()) == []


def test_a_missing_snapshot_is_an_error(group: rbd.Group) -> None:
    for call, arguments in (
        (group.remove_snap, ("missing",)),
        (group.rename_snap, ("missing", "other")),
        (group.rollback_to_snap, ("missing",)),
    ):
        with pytest.raises(rbd.ObjectNotFound) as error:
            call(*arguments)
        assert error.value.errno == 2


@pytest.mark.needs("rbd_group_snap_create2")
def test_snapshot_flags_are_checked(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    group.add_image(rbd_ioctx, rbd_image.name)
    group.create_snap("quiet", rbd.RBD_SNAP_CREATE_SKIP_QUIESCE)
    with pytest.raises(rbd.InvalidArgument):
        group.create_snap("both", 0x40000000)
    with pytest.raises(OverflowError):
        group.create_snap("both", 1 << 32)
    assert [snapshot["name"] for snapshot in group.list_snaps()] == ["quiet"]


@pytest.mark.needs("rbd_group_snap_get_info")
def test_snapshot_info_describes_each_image(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, group: rbd.Group
) -> None:
    group.add_image(rbd_ioctx, rbd_image.name)
    group.create_snap("one")
    info = group.get_snap_info("one")
    assert set(info) == NAME_AND_STATE | DETAILS
    assert info["namespace_type"] == rbd.RBD_GROUP_SNAP_NAMESPACE_TYPE_USER
    (member,) = info["image_snaps"]
    assert set(member) == {"pool_id", "snap_id", "image_name"}
    assert member["image_name"] == rbd_image.name
    assert group.get_snap_info(snap_name="one") == info
    assert list(group.list_snaps()) == [info]
    with pytest.raises(rbd.ObjectNotFound):
        group.get_snap_info("missing")


# Bad input

CALLS: Calls = [
    ("list_images", ()),
    ("list_snaps", ()),
    ("create_snap", ("snap",)),
    ("remove_snap", ("snap",)),
    ("rename_snap", ("snap", "other")),
    ("rollback_to_snap", ("snap",)),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_missing_group_is_an_error(
    rbd_ioctx: rbd.rados.Ioctx, method: str, arguments: Tuple[Any, ...]
) -> None:
    group = rbd.Group(rbd_ioctx, "missing")
    with pytest.raises(rbd.ObjectNotFound) as error:
        getattr(group, method)(*arguments)
    assert error.value.errno == 2
    assert isinstance(error.value, FileNotFoundError)


@pytest.mark.parametrize("method", ["add_image", "remove_image", "remove_image_by_id"])
def test_adding_to_a_missing_group_is_an_error(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, method: str
) -> None:
    with pytest.raises(rbd.ObjectNotFound):
        getattr(rbd.Group(rbd_ioctx, "missing"), method)(rbd_ioctx, rbd_image.name)


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_ioctx_is_refused(
    rbd_cluster: Cluster, method: str, arguments: Tuple[Any, ...]
) -> None:
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
        group = rbd.Group(ioctx=ioctx, name="any")
        ioctx.close()
        with pytest.raises(rbd.rados.IoctxStateError):
            getattr(group, method)(*arguments)
        with pytest.raises(rbd.rados.IoctxStateError):
            rbd.RBD().group_list(ioctx)


@pytest.mark.parametrize(("method", "arguments"), with_arguments(CALLS))
def test_each_wrong_argument_is_refused(
    group: rbd.Group, method: str, arguments: Tuple[Any, ...]
) -> None:
    refuses_wrong_types(group, method, arguments)


def test_wrong_types_are_refused(rbd_ioctx: rbd.rados.Ioctx, group: rbd.Group) -> None:
    no_name: Any = 3
    no_ioctx: Any = None
    for call in (
        lambda: rbd.Group(no_ioctx, "name"),
        lambda: rbd.Group(rbd_ioctx, no_name),
        lambda: group.add_image(no_ioctx, "image"),
        lambda: group.add_image(rbd_ioctx, no_name),
        lambda: group.remove_image(no_ioctx, "image"),
        lambda: group.remove_image_by_id(rbd_ioctx, no_name),
        lambda: group.create_snap("snap", no_ioctx),
        lambda: group.rollback_to_snap("snap", on_progress=no_name),
        lambda: rbd.RBD().group_create(rbd_ioctx, no_name),
        lambda: rbd.RBD().group_remove(no_ioctx, "name"),
        lambda: rbd.RBD().group_list(no_ioctx),
        lambda: rbd.RBD().group_rename(rbd_ioctx, "name", no_name),
        lambda: rbd.GroupImageIterator(no_ioctx),
        lambda: rbd.GroupSnapIterator(no_name),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_closed_image_is_refused(rbd_image: rbd.Image) -> None:
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.group()


def test_the_context_manager_and_iterators_outlive_the_ioctx(
    rbd_cluster: Cluster, name: str
) -> None:
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        with rbd.Group(ioctx, name) as group:
            assert group.name == name
            assert name in repr(group)
        with pytest.raises(KeyError), rbd.Group(ioctx, name):
            raise KeyError
        images, snapshots = group.list_images(), group.list_snaps()
    assert list(images) == list(snapshots) == []
