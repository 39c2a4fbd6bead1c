"""Snapshots: their names, their number, and their removal."""

from __future__ import annotations

import datetime
from typing import Any, Dict, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd._opened import Opened
from support.location import in_utc

UNLIMITED = 2**64 - 1


def ids(image: rbd.Image) -> Dict[str, int]:
    return {snapshot["name"]: snapshot["id"] for snapshot in image.list_snaps()}


def test_the_list_describes_each_snapshot(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("first")
    rbd_image.resize(4 << 20)
    rbd_image.create_snap(name="second", flags=0)
    snapshots = rbd_image.list_snaps()
    assert isinstance(snapshots, rbd.SnapIterator)
    assert snapshots.num_snaps == len(snapshots) == 2
    first, second = snapshots
    assert list(first) == ["id", "size", "name", "namespace"]
    assert isinstance(first["id"], int)
    assert (first["name"], first["size"]) == ("first", 8 << 20)
    assert (second["name"], second["size"]) == ("second", 4 << 20)
    assert first["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    assert first["id"] < second["id"]
    assert list(snapshots) == list(rbd.SnapIterator(rbd_image)) == [first, second]


def test_a_listing_outlives_its_image(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "image", 1 << 20)
    with rbd.Image(rbd_ioctx, "image") as image:
        image.create_snap("a")
        snapshots = rbd.SnapIterator(image=image)
    assert [snapshot["name"] for snapshot in snapshots] == ["a"]
    assert [snapshot["name"] for snapshot in snapshots] == ["a"]


def test_more_snapshots_than_one_call_lists_are_all_listed(rbd_image: rbd.Image) -> None:
    names = [f"snapshot-{i}" for i in range(40)]
    for name in names:
        rbd_image.create_snap(name)
    assert [snapshot["name"] for snapshot in rbd_image.list_snaps()] == names


# The limit


def test_the_limit_is_set_and_enforced(rbd_image: rbd.Image) -> None:
    assert rbd_image.get_snap_limit() == UNLIMITED
    assert rbd_image.set_snap_limit(2) == 0
    assert rbd_image.get_snap_limit() == 2
    rbd_image.create_snap("a")
    rbd_image.create_snap("b")
    with pytest.raises(rbd.DiskQuotaExceeded) as full:
        rbd_image.create_snap("c")
    assert full.value.errno == 122
    with pytest.raises(rbd.OSError) as low:
        rbd_image.set_snap_limit(limit=1)
    assert (type(low.value), low.value.errno) == (rbd.OSError, 34)
    assert rbd_image.remove_snap_limit() == 0
    assert rbd_image.get_snap_limit() == UNLIMITED
    rbd_image.create_snap("c")
    rbd_image.set_snap_limit(UNLIMITED)
    rbd_image.remove_snap_limit()


@pytest.mark.parametrize(("limit", "error"), [(-1, OverflowError), (2**64, OverflowError)])
def test_a_limit_out_of_range_is_refused(rbd_image: rbd.Image, limit: int, error: type) -> None:
    with pytest.raises(error):
        rbd_image.set_snap_limit(limit)


# By id


def test_the_timestamp_is_the_time_of_creation(rbd_image: rbd.Image) -> None:
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    rbd_image.create_snap("a")
    after = datetime.datetime.now(datetime.timezone.utc)
    taken = in_utc(rbd_image.get_snap_timestamp(ids(rbd_image)["a"]))
    # The cluster's clock is this machine's, or close to it.
    slack = datetime.timedelta(minutes=5)
    assert before - slack <= taken <= after + slack
    assert in_utc(rbd_image.get_snap_timestamp(snap_id=ids(rbd_image)["a"])) == taken


@pytest.mark.parametrize("missing", [0, 1 << 40, 2**64 - 2, 2**64 - 1])
def test_the_timestamp_of_a_missing_snapshot_is_an_error(
    rbd_image: rbd.Image, missing: int
) -> None:
    with pytest.raises(rbd.ImageNotFound) as error:
        rbd_image.get_snap_timestamp(missing)
    assert error.value.errno == 2


@pytest.mark.needs("rbd_snap_exists", "rbd_snap_get_id", "rbd_snap_get_name")
def test_names_and_ids_identify_snapshots(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("a")
    number = ids(rbd_image)["a"]
    assert rbd_image.snap_exists("a") is True
    assert rbd_image.snap_exists(name=b"a") is True
    assert rbd_image.snap_exists("b") is False
    assert rbd_image.snap_exists("") is False
    assert rbd_image.snap_get_id("a") == rbd_image.snap_get_id(snap_name="a") == number
    assert rbd_image.snap_get_name(number) == rbd_image.snap_get_name(snap_id=number) == "a"
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.snap_get_id("b")
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.snap_get_name(1 << 40)


@pytest.mark.needs("rbd_snap_get_name")
def test_long_names_are_read_whole(rbd_image: rbd.Image) -> None:
    name = "n" * 700
    rbd_image.create_snap(name)
    assert rbd_image.snap_get_name(ids(rbd_image)[name]) == name


def test_a_snapshot_is_set_by_its_id(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"old", 0)
    rbd_image.create_snap("a")
    rbd_image.write(b"new", 0)
    number = ids(rbd_image)["a"]
    rbd_image.set_snap_by_id(number)
    assert rbd_image.read(0, 3) == b"old"
    with pytest.raises(rbd.ReadOnlyImage):
        rbd_image.write(b"x", 0)
    rbd_image.set_snap_by_id(snap_id=None)
    assert rbd_image.read(0, 3) == b"new"
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.set_snap_by_id(number + 1000)
    assert rbd_image.read(0, 3) == b"new"


# Renaming and removing


def test_a_snapshot_is_renamed(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("a")
    rbd_image.create_snap("b")
    number = ids(rbd_image)["a"]
    rbd_image.rename_snap("a", "c")
    rbd_image.rename_snap(srcname="c", dstname="d")
    assert ids(rbd_image)["d"] == number
    with pytest.raises(rbd.ImageExists):
        rbd_image.rename_snap("d", "b")
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.rename_snap("a", "e")
    assert sorted(ids(rbd_image)) == ["b", "d"]


def test_snapshots_are_removed_by_name_and_id(rbd_image: rbd.Image) -> None:
    for name in "abcd":
        rbd_image.create_snap(name)
    rbd_image.remove_snap("a")
    rbd_image.remove_snap2("b", 0)
    rbd_image.remove_snap2(name="c", flags=0)
    rbd_image.remove_snap_by_id(snap_id=ids(rbd_image)["d"])
    assert ids(rbd_image) == {}
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.remove_snap2("a", 0)
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.remove_snap_by_id(1 << 40)


def test_removing_unprotects_on_request(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("a")
    rbd_image.protect_snap("a")
    number = ids(rbd_image)["a"]
    with pytest.raises(rbd.ImageBusy) as busy:
        rbd_image.remove_snap2("a", 0)
    assert busy.value.errno == 16
    with pytest.raises(rbd.ImageBusy):
        rbd_image.remove_snap_by_id(number)
    rbd_image.remove_snap2("a", rbd.RBD_SNAP_REMOVE_UNPROTECT)
    assert ids(rbd_image) == {}


def test_removing_flattens_clones_on_request(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd_image.write(b"parent", 0)
    rbd_image.create_snap("a")
    rbd_image.protect_snap("a")
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "a", rbd_ioctx, "clone", clone_format=1)
    with pytest.raises(rbd.ImageBusy):
        rbd_image.remove_snap2("a", rbd.RBD_SNAP_REMOVE_UNPROTECT)
    progress: List[Tuple[int, int]] = []
    rbd_image.remove_snap2(
        "a", rbd.RBD_SNAP_REMOVE_FORCE, on_progress=lambda *now: progress.append(now)
    )
    assert progress
    assert all(done <= total for done, total in progress)
    assert ids(rbd_image) == {}
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert clone.read(0, 6) == b"parent"
        with pytest.raises(rbd.ImageNotFound):
            clone.parent_info()


def test_a_callback_that_raises_ends_the_removal(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd_image.create_snap("a")
    rbd_image.protect_snap("a")
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "a", rbd_ioctx, "clone", clone_format=1)

    def fail(done: int, total: int) -> int:
        raise LookupError("told so")

    with pytest.raises(LookupError, match="told so"):
        rbd_image.remove_snap2("a", rbd.RBD_SNAP_REMOVE_FORCE, on_progress=fail)


# Bad arguments

BY_NAME: List[Tuple[str, Tuple[Any, ...]]] = [
    ("snap_exists", ()),
    ("snap_get_id", ()),
    ("rename_snap", ("b",)),
    ("remove_snap", ()),
    ("remove_snap2", (0,)),
]
BY_ID = [
    "get_snap_timestamp",
    "remove_snap_by_id",
    "set_snap_by_id",
    "snap_get_group_namespace",
    "snap_get_mirror_namespace",
    "snap_get_name",
    "snap_get_namespace_type",
    "snap_get_trash_namespace",
]


def method(image: rbd.Image, name: str) -> Any:
    if not hasattr(image, name):
        pytest.skip(f"the loaded librbd has no rbd_{name}")
    return getattr(image, name)


@pytest.mark.parametrize(("name", "rest"), BY_NAME)
def test_wrong_names_are_refused(rbd_image: rbd.Image, name: str, rest: Tuple[Any, ...]) -> None:
    call = method(rbd_image, name)
    for wrong in (None, 5, ["a"]):
        with pytest.raises(TypeError):
            call(wrong, *rest)
    with pytest.raises(ValueError, match="NUL"):
        call("a\0b", *rest)


@pytest.mark.parametrize("name", BY_ID)
def test_wrong_ids_are_refused(rbd_image: rbd.Image, name: str) -> None:
    call = method(rbd_image, name)
    for wrong in ("a", 1.5, [1]):
        with pytest.raises(TypeError):
            call(wrong)
    for outside in (-1, 2**64):
        with pytest.raises(OverflowError):
            call(outside)
    with pytest.raises(rbd.ImageNotFound) as error:
        call(1 << 40)
    assert error.value.errno == 2
    assert str(1 << 40) in str(error.value)
    assert repr(rbd_image.name) in str(error.value)


def test_a_closed_image_is_refused(rbd_image: rbd.Image) -> None:
    calls = [(name, ("a", *rest)) for name, rest in BY_NAME] + [(name, (1,)) for name in BY_ID]
    calls += [("get_snap_limit", ()), ("remove_snap_limit", ()), ("set_snap_limit", (1,))]
    calls += [("list_snaps", ())]
    present = [(getattr(rbd_image, name), rest) for name, rest in calls if hasattr(rbd_image, name)]
    rbd_image.close()
    for call, rest in present:
        with pytest.raises(rbd.InvalidArgument, match="closed") as error:
            call(*rest)
        assert error.value.errno is None
    with pytest.raises(rbd.InvalidArgument):
        rbd.SnapIterator(rbd_image)
    with pytest.raises(TypeError):
        rbd.SnapIterator("image")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "way",
    [
        lambda ioctx, read_only: rbd.Image(ioctx, "one", "", read_only=read_only),
        lambda ioctx, read_only: at_snapshot(ioctx, read_only, lambda image: image.set_snap("")),
        lambda ioctx, read_only: at_snapshot(
            ioctx, read_only, lambda image: image.set_snap_by_id(2**64 - 2)
        ),
    ],
    ids=["opened", "set", "set by id"],
)
def test_no_name_is_the_head(rbd_ioctx: Any, way: Any, read_only: bool) -> None:
    """librbd takes an empty name, and its own id of the head, for the head."""
    rbd.RBD().create(rbd_ioctx, "one", 1 << 20)
    with rbd.Image(rbd_ioctx, "one") as image:
        image.create_snap("s")
        image.write(b"head", 0)
    with way(rbd_ioctx, read_only) as image:
        assert Opened.of(image).snapshot is None
        with image.open_file("rb" if read_only else "r+b") as file:
            assert file.read(4) == b"head"
        image.copy(rbd_ioctx, "two")
        if not read_only:
            assert image.write(b"more", 0) == 4


def at_snapshot(ioctx: Any, read_only: bool, leave: Any) -> rbd.Image:
    image = rbd.Image(ioctx, "one", "s", read_only=read_only)
    leave(image)
    return image
