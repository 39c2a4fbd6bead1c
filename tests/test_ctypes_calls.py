"""The calls of the original ctypes module, positionally and by keyword, row by row."""

from __future__ import annotations

import errno
import inspect
from typing import Any, Iterator

import pytest

import rbd

SIZE = 4 << 20
NEEDED = (
    rbd.RBD_FEATURE_LAYERING
    | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
    | rbd.RBD_FEATURE_OBJECT_MAP
    | rbd.RBD_FEATURE_FAST_DIFF
    | rbd.RBD_FEATURE_DEEP_FLATTEN
)


@pytest.fixture
def tool() -> rbd.RBD:
    return rbd.RBD()


@pytest.fixture
def image(tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.Image]:
    tool.create(rbd_ioctx, "image", SIZE)
    with rbd.Image(rbd_ioctx, "image") as opened:
        yield opened


def test_version_is_three_integers(tool: rbd.RBD) -> None:
    version = tool.version()
    assert isinstance(version, tuple)
    assert [type(part) for part in version] == [int, int, int]


def test_create_takes_positional_arguments(tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx) -> None:
    striped = NEEDED | rbd.RBD_FEATURE_STRIPINGV2
    assert tool.create(rbd_ioctx, "p", SIZE, 20, False, striped, 65536, 8) is None
    with rbd.Image(rbd_ioctx, "p") as opened:
        assert (opened.stat()["order"], opened.stripe_unit(), opened.stripe_count()) == (
            20,
            65536,
            8,
        )
        assert opened.features() & striped == striped


def test_create_takes_keywords(tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx) -> None:
    tool.create(
        ioctx=rbd_ioctx,
        name="k",
        size=SIZE,
        order=None,
        old_format=False,
        features=None,
        stripe_unit=0,
        stripe_count=0,
    )
    with rbd.Image(rbd_ioctx, "k") as opened:
        assert opened.size() == SIZE
        assert opened.stat()["order"] == 22


def test_zeroes_in_create_mean_the_default(tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx) -> None:
    tool.create(rbd_ioctx, "z", SIZE, 0, False, 0, 0, 0)
    with rbd.Image(rbd_ioctx, "z") as opened:
        assert opened.stat()["order"] == 22
        assert opened.features() == 0


def test_create_refuses_options_of_the_old_format(
    tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    for refused in ({"features": 1}, {"stripe_unit": 65536}, {"stripe_count": 2}):
        with pytest.raises(rbd.InvalidArgument):
            tool.create(rbd_ioctx, "old", SIZE, old_format=True, **refused)
    assert tool.list(rbd_ioctx) == []


def test_create_refuses_existing_names_and_wrong_types(
    tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image
) -> None:
    with pytest.raises(rbd.ImageExists):
        tool.create(rbd_ioctx, "image", SIZE)
    with pytest.raises(TypeError):
        tool.create(rbd_ioctx, 5, SIZE)


def test_clone_takes_both_names_of_the_snapshot(
    tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image
) -> None:
    image.create_snap("s")
    image.protect_snap("s")
    assert tool.clone(rbd_ioctx, "image", "s", rbd_ioctx, "c1", NEEDED, 22) is None
    tool.clone(
        p_ioctx=rbd_ioctx,
        p_name="image",
        p_snapname="s",
        c_ioctx=rbd_ioctx,
        c_name="c2",
        features=NEEDED,
        order=0,
    )
    tool.clone(p_ioctx=rbd_ioctx, p_name="image", p_snapshot="s", c_ioctx=rbd_ioctx, c_name="c3")
    for name, order in (("c1", 22), ("c2", 22), ("c3", 22)):
        with rbd.Image(rbd_ioctx, name) as clone:
            pool, parent, snapshot = clone.parent_info()
            assert (pool, parent, snapshot) == (rbd_ioctx.get_pool_name(), "image", "s")
            assert clone.stat()["order"] == order
    with pytest.raises(rbd.ImageExists):
        tool.clone(rbd_ioctx, "image", "s", rbd_ioctx, "c1")
    with pytest.raises(TypeError):
        tool.clone(rbd_ioctx, "image", "s", rbd_ioctx, 5)
    with pytest.raises(TypeError):
        tool.clone(rbd_ioctx, "image", p_snapname=None, c_ioctx=rbd_ioctx, c_name="c4")


def test_images_are_listed_removed_and_renamed(
    tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image
) -> None:
    assert tool.list(rbd_ioctx) == tool.list(ioctx=rbd_ioctx) == ["image"]
    with pytest.raises(rbd.ImageBusy):
        tool.remove(rbd_ioctx, "image")
    image.create_snap("s")
    image.close()
    with pytest.raises(rbd.ImageHasSnapshots):
        tool.remove(rbd_ioctx, "image")
    with rbd.Image(rbd_ioctx, "image") as opened:
        opened.remove_snap(name="s")
    tool.rename(rbd_ioctx, "image", "other")
    tool.rename(ioctx=rbd_ioctx, src="other", dest="third")
    tool.create(rbd_ioctx, "image", SIZE)
    with pytest.raises(rbd.ImageExists):
        tool.rename(rbd_ioctx, "image", "third")
    with pytest.raises(rbd.ImageNotFound):
        tool.rename(rbd_ioctx, "none", "x")
    tool.remove(rbd_ioctx, "third")
    tool.remove(ioctx=rbd_ioctx, name="image")
    with pytest.raises(rbd.ImageNotFound):
        tool.remove(rbd_ioctx, "image")


def test_an_image_opens_by_position_and_keyword(
    rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image
) -> None:
    image.create_snap("s")
    with rbd.Image(rbd_ioctx, "image", "s", True) as positional:
        assert positional.name == "image"
        assert "image" in str(positional)
        assert positional.closed is False
    assert positional.closed is True
    with rbd.Image(ioctx=rbd_ioctx, name="image", snapshot=None, read_only=False) as by_keyword:
        by_keyword.write(b"x", 0)
    positional.close()
    with pytest.raises(rbd.ImageNotFound):
        rbd.Image(rbd_ioctx, "none")


def test_stat_and_getters_describe_the_image(image: rbd.Image) -> None:
    stat = image.stat()
    for key in ("size", "obj_size", "num_objs", "order", "block_name_prefix"):
        assert key in stat
    assert (stat["parent_pool"], stat["parent_name"]) == (-1, "")
    assert image.old_format() is False
    assert image.size() == SIZE
    assert isinstance(image.features(), int)
    assert image.overlap() == 0
    assert image.stripe_unit() == 4 << 20
    assert image.stripe_count() == 1
    with pytest.raises(rbd.ImageNotFound):
        image.parent_info()


def test_getters_of_a_closed_image_raise_their_own_error(image: rbd.Image) -> None:
    image.close()
    for name in ("old_format", "size", "features", "overlap", "stripe_unit", "stripe_count"):
        with pytest.raises(rbd.InvalidArgument):
            getattr(image, name)()


def test_long_names_of_parents_are_whole(tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx) -> None:
    name, snapshot = "n" * 90, "s" * 90
    tool.create(rbd_ioctx, name, SIZE)
    with rbd.Image(rbd_ioctx, name) as parent:
        parent.create_snap(snapshot)
        parent.protect_snap(snapshot)
    tool.clone(rbd_ioctx, name, snapshot, rbd_ioctx, "child")
    with rbd.Image(rbd_ioctx, "child") as child:
        assert child.parent_info()[1:] == (name, snapshot)


def test_resize_takes_position_and_keyword(image: rbd.Image) -> None:
    image.resize(2 * SIZE)
    image.resize(size=SIZE)
    assert image.size() == SIZE


def test_copy_takes_position_and_keyword(rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image) -> None:
    image.write(b"data", 0)
    image.copy(rbd_ioctx, "copy1")
    image.copy(dest_ioctx=rbd_ioctx, dest_name="copy2")
    for name in ("copy1", "copy2"):
        with rbd.Image(rbd_ioctx, name) as copied:
            assert copied.read(0, 4) == b"data"
    with pytest.raises(rbd.ImageExists):
        image.copy(rbd_ioctx, "copy1")


def test_snapshots_are_created_listed_and_removed(image: rbd.Image) -> None:
    image.create_snap("a")
    image.create_snap(name="b")
    listed = image.list_snaps()
    assert isinstance(listed, rbd.SnapIterator)
    assert listed.num_snaps == 2
    entries = list(listed)
    assert [entry["name"] for entry in entries] == ["a", "b"]
    assert all({"id", "size", "name"} <= set(entry) for entry in entries)
    assert list(rbd.SnapIterator(image)) == entries
    with pytest.raises(rbd.ImageExists):
        image.create_snap("a")
    image.protect_snap("a")
    assert image.is_protected_snap("a") is True
    assert image.is_protected_snap(name="b") is False
    with pytest.raises(rbd.ImageBusy):
        image.remove_snap("a")
    image.unprotect_snap(name="a")
    with pytest.raises(rbd.ImageNotFound):
        image.is_protected_snap("none")
    image.write(b"new", 0)
    image.rollback_to_snap("a")
    assert image.read(0, 3) == bytes(3)
    image.rollback_to_snap(name="b")
    with pytest.raises(rbd.ImageNotFound):
        image.rollback_to_snap("none")
    image.remove_snap("a")
    image.remove_snap(name="b")


def test_set_snap_changes_what_is_read(image: rbd.Image) -> None:
    image.write(b"old", 0)
    image.create_snap("s")
    image.write(b"new", 0)
    image.set_snap("s")
    assert image.read(0, 3) == b"old"
    with pytest.raises(rbd.ReadOnlyImage):
        image.write(b"x", 0)
    image.set_snap(name=None)
    assert image.read(0, 3) == b"new"


def test_a_snap_iterator_of_a_closed_image_is_refused(image: rbd.Image) -> None:
    image.close()
    with pytest.raises(rbd.InvalidArgument):
        rbd.SnapIterator(image)


def test_diff_iterate_reports_changes(image: rbd.Image) -> None:
    image.write(b"a" * 4096, 0)
    image.create_snap("s")
    image.write(b"b" * 4096, 1 << 20)
    extents: list[Any] = []
    image.diff_iterate(0, SIZE, "s", lambda *extent: extents.append(extent))
    assert any(o <= 1 << 20 and o + n >= (1 << 20) + 4096 and e for o, n, e in extents)
    extents.clear()
    image.diff_iterate(
        offset=0, length=SIZE, from_snapshot=None, iterate_cb=lambda *extent: extents.append(extent)
    )
    assert sum(length for _, length, _ in extents) >= 8192
    with pytest.raises(rbd.ImageNotFound):
        image.diff_iterate(0, SIZE, "none", lambda *extent: None)


def test_a_diff_from_a_later_snapshot_is_refused(image: rbd.Image) -> None:
    image.create_snap("one")
    image.create_snap("two")
    image.set_snap("one")
    with pytest.raises(rbd.InvalidArgument):
        image.diff_iterate(0, SIZE, "two", lambda *extent: None)


def test_an_exception_of_a_callback_is_raised(image: rbd.Image) -> None:
    image.write(b"a", 0)

    def fail(*extent: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        image.diff_iterate(0, SIZE, None, fail)


def test_flattened_clones_are_no_longer_children(
    tool: rbd.RBD, rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image
) -> None:
    image.create_snap("s")
    image.protect_snap("s")
    names = [f"child{i}" for i in range(20)]
    for name in names:
        tool.clone(rbd_ioctx, "image", "s", rbd_ioctx, name)
    image.set_snap("s")
    children = image.list_children()
    assert sorted(children) == sorted((rbd_ioctx.get_pool_name(), name) for name in names)
    with rbd.Image(rbd_ioctx, "child0") as child:
        child.flatten()
    assert (rbd_ioctx.get_pool_name(), "child0") not in image.list_children()
    image.set_snap(None)


def test_advisory_locks_are_taken_and_broken(rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image) -> None:
    assert image.list_lockers() == []
    image.lock_exclusive("cookie")
    locked = image.list_lockers()
    assert locked["tag"] == ""
    assert locked["exclusive"] is True
    [(client, cookie, address)] = locked["lockers"]
    assert (cookie, client.startswith("client."), ":" in address) == ("cookie", True, True)
    with pytest.raises(rbd.ImageExists):
        image.lock_exclusive(cookie="cookie")
    with pytest.raises(rbd.ImageBusy):
        image.lock_shared("other", "tag")
    image.unlock("cookie")
    with pytest.raises(rbd.ImageNotFound):
        image.unlock(cookie="cookie")
    for number in range(30):
        image.lock_shared(cookie=f"cookie-{number}", tag="tag")
    locked = image.list_lockers()
    assert (locked["tag"], locked["exclusive"], len(locked["lockers"])) == ("tag", False, 30)
    for number in range(30):
        image.unlock(f"cookie-{number}")
    with pytest.raises(rbd.ImageNotFound):
        image.break_lock("client.1", "none")
    with pytest.raises(rbd.ImageNotFound):
        image.break_lock(client="client.1", cookie="none")


def test_flush_returns_none(image: rbd.Image) -> None:
    image.write(b"x", 0)
    assert image.flush() is None


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (errno.EPERM, rbd.PermissionError),
        (errno.ENOENT, rbd.ImageNotFound),
        (errno.EIO, rbd.IOError),
        (errno.ENOSPC, rbd.NoSpace),
        (errno.EEXIST, rbd.ImageExists),
        (errno.EINVAL, rbd.InvalidArgument),
        (errno.EROFS, rbd.ReadOnlyImage),
        (errno.EBUSY, rbd.ImageBusy),
        (errno.ENOTEMPTY, rbd.ImageHasSnapshots),
        (errno.ENOSYS, rbd.FunctionNotSupported),
        (errno.EDOM, rbd.ArgumentOutOfRange),
        (errno.ESHUTDOWN, rbd.ConnectionShutdown),
        (errno.EXDEV, rbd.OSError),
    ],
)
def test_make_ex_maps_an_errno_to_its_class(code: int, cls: Any) -> None:
    for ret in (code, -code):
        error = rbd.make_ex(ret, "m")
        assert type(error) is cls
        assert (error.errno, isinstance(error, rbd.Error)) == (code, True)
    assert list(inspect.signature(rbd.make_ex).parameters)[:2] == ["ret", "msg"]


def test_constants_have_their_values() -> None:
    assert rbd.RBD_FEATURE_LAYERING == 1
    assert rbd.RBD_FEATURE_STRIPINGV2 == 2
    assert rbd.ANONYMOUS_AUID == 0xFFFFFFFFFFFFFFFF
    assert rbd.ADMIN_AUID == 0
