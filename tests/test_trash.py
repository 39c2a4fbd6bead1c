"""The trash holds images that can still be restored."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from support.location import in_utc

HOUR = 3600
KEYS = ["id", "name", "source", "deletion_time", "deferment_end_time"]


@pytest.fixture
def ioctx(rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide rbd_ioctx, with an empty trash before and after."""
    assert trash(rbd_ioctx) == {}
    yield rbd_ioctx
    with contextlib.suppress(rbd.rados.Error):
        for number in trash(rbd_ioctx):
            rbd.RBD().trash_remove(rbd_ioctx, number, True)


@pytest.fixture
def image_id(ioctx: rbd.rados.Ioctx) -> str:
    """Provide the id of a new image named 'image'."""
    return create(ioctx, "image")


def create(ioctx: rbd.rados.Ioctx, name: str) -> str:
    rbd.RBD().create(ioctx, name, 8 << 20, order=20)
    with rbd.Image(ioctx, name) as image:
        for offset in range(0, 8 << 20, 1 << 20):
            image.write(b"data", offset)
        return str(image.id())


def trash(ioctx: rbd.rados.Ioctx) -> Dict[str, Any]:
    return {entry["id"]: entry for entry in rbd.RBD().trash_list(ioctx)}


def test_an_image_is_moved_to_the_trash_and_restored(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    assert rbd.RBD().trash_move(ioctx, "image") is None
    assert rbd.RBD().list(ioctx) == []
    with pytest.raises(rbd.ImageNotFound):
        rbd.Image(ioctx, "image")
    assert list(trash(ioctx)) == [image_id]
    rbd.RBD().trash_restore(ioctx, image_id, "restored")
    assert trash(ioctx) == {}
    with rbd.Image(ioctx, "restored") as image:
        assert image.id() == image_id
        assert image.read(0, 4) == b"data"
    rbd.RBD().trash_move(ioctx=ioctx, name="restored", delay=0)
    rbd.RBD().trash_restore(ioctx=ioctx, image_id=image_id, name="image")
    assert rbd.RBD().list(ioctx) == ["image"]


def test_an_entry_describes_the_image(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    rbd.RBD().trash_move(ioctx, "image", HOUR)
    entry = rbd.RBD().trash_get(ioctx, image_id)
    assert rbd.RBD().trash_get(ioctx=ioctx, image_id=image_id) == entry
    assert list(entry) == KEYS
    assert (entry["id"], entry["name"], entry["source"]) == (image_id, "image", "USER")
    for key in ("deletion_time", "deferment_end_time"):
        assert isinstance(entry[key], datetime.datetime)
    now = datetime.datetime.now(datetime.timezone.utc)
    # The cluster's clock is this machine's, or close to it.
    assert abs(now - in_utc(entry["deletion_time"])) < datetime.timedelta(minutes=5)
    delay = entry["deferment_end_time"] - entry["deletion_time"]
    assert abs(delay - datetime.timedelta(seconds=HOUR)) <= datetime.timedelta(seconds=2)
    listed = rbd.RBD().trash_list(ioctx)
    assert isinstance(listed, rbd.TrashIterator)
    assert list(listed) == list(listed) == list(rbd.TrashIterator(ioctx=ioctx)) == [entry]


def test_more_images_than_one_call_lists_are_all_listed(ioctx: rbd.rados.Ioctx) -> None:
    names = [f"image-{i:02}" for i in range(35)]
    for name in names:
        rbd.RBD().create(ioctx, name, 1 << 20)
        rbd.RBD().trash_move(ioctx, name)
    entries = rbd.TrashIterator(ioctx)
    assert sorted(entry["name"] for entry in entries) == names


def test_removing_a_deferred_image_needs_force(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    rbd.RBD().trash_move(ioctx, "image", delay=HOUR)
    with pytest.raises(rbd.PermissionError) as deferred:
        rbd.RBD().trash_remove(ioctx, image_id)
    assert deferred.value.errno == 1
    progress: List[Tuple[int, int]] = []
    rbd.RBD().trash_remove(
        ioctx=ioctx,
        image_id=image_id,
        force=True,
        on_progress=lambda *now: progress.append(now),
    )
    assert progress
    assert all(0 <= done <= total for done, total in progress)
    assert trash(ioctx) == {}


def test_a_removal_can_be_stopped(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    rbd.RBD().trash_move(ioctx, "image")
    with pytest.raises(rbd.OperationCanceled) as stopped:
        rbd.RBD().trash_remove(ioctx, image_id, False, lambda done, total: -rbd.ECANCELED)
    assert stopped.value.errno == rbd.ECANCELED

    def fail(done: int, total: int) -> int:
        raise LookupError("told so")

    with pytest.raises(LookupError, match="told so"):
        rbd.RBD().trash_remove(ioctx, image_id, on_progress=fail)
    assert list(trash(ioctx)) == [image_id]
    rbd.RBD().trash_remove(ioctx, image_id)
    assert trash(ioctx) == {}


def test_an_image_with_snapshots_is_not_removed(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    with rbd.Image(ioctx, "image") as image:
        image.create_snap("a")
    rbd.RBD().trash_move(ioctx, "image")
    with pytest.raises(rbd.ImageHasSnapshots):
        rbd.RBD().trash_remove(ioctx, image_id)
    with rbd.Image(ioctx, image_id=image_id) as image:
        image.remove_snap("a")
    rbd.RBD().trash_remove(ioctx, image_id)


# Purging


def test_purge_removes_images_that_are_no_longer_deferred(
    ioctx: rbd.rados.Ioctx, image_id: str
) -> None:
    kept = create(ioctx, "kept")
    rbd.RBD().trash_move(ioctx, "image")
    rbd.RBD().trash_move(ioctx, "kept", HOUR)
    progress: List[Tuple[int, int]] = []
    assert rbd.RBD().trash_purge(ioctx, on_progress=lambda *now: progress.append(now)) is None
    assert list(trash(ioctx)) == [kept]
    assert progress
    assert all(0 <= done <= total for done, total in progress)


@pytest.mark.parametrize("zone", ["UTC", "EST+5", "JST-9"])
@pytest.mark.parametrize("aware", [False, True])
def test_purge_honours_its_time(
    ioctx: rbd.rados.Ioctx,
    image_id: str,
    time_zone: Callable[[str], None],
    zone: str,
    aware: bool,
) -> None:
    # A naive datetime is in local time, as in the stock module.
    time_zone(zone)
    rbd.RBD().trash_move(ioctx, "image", 2 * HOUR)
    now = datetime.datetime.now(datetime.timezone.utc if aware else None)
    rbd.RBD().trash_purge(ioctx, now + datetime.timedelta(hours=1))
    assert list(trash(ioctx)) == [image_id]
    rbd.RBD().trash_purge(ioctx=ioctx, expire_ts=now + datetime.timedelta(hours=3), threshold=-1)
    assert trash(ioctx) == {}


def test_wrong_arguments_of_purge_are_refused(ioctx: rbd.rados.Ioctx) -> None:
    for wrong in ("today", 5, datetime.date(2020, 1, 1)):
        with pytest.raises(TypeError):
            rbd.RBD().trash_purge(ioctx, wrong)
    with pytest.raises(TypeError):
        rbd.RBD().trash_purge(ioctx, None, "half")
    with pytest.raises(TypeError):
        rbd.RBD().trash_purge(ioctx, on_progress=5)
    with pytest.raises(rbd.InvalidArgument):
        rbd.RBD().trash_purge(ioctx, None, 2.0)


# Errors


def test_a_missing_image_is_an_error(ioctx: rbd.rados.Ioctx) -> None:
    calls: List[Callable[[], Any]] = [
        lambda: rbd.RBD().trash_move(ioctx, "missing"),
        lambda: rbd.RBD().trash_get(ioctx, "missing"),
        lambda: rbd.RBD().trash_remove(ioctx, "missing"),
        lambda: rbd.RBD().trash_restore(ioctx, "missing", "image"),
    ]
    for call in calls:
        with pytest.raises(rbd.ImageNotFound, match="'missing'") as error:
            call()
        assert error.value.errno == 2


def test_restoring_over_an_image_is_refused(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    rbd.RBD().trash_move(ioctx, "image")
    create(ioctx, "image")
    with pytest.raises(rbd.ImageExists) as exists:
        rbd.RBD().trash_restore(ioctx, image_id, "image")
    assert exists.value.errno == 17
    assert list(trash(ioctx)) == [image_id]


CALLS: List[Tuple[str, Tuple[Any, ...]]] = [
    ("trash_move", ("name",)),
    ("trash_get", ("id",)),
    ("trash_list", ()),
    ("trash_purge", ()),
    ("trash_remove", ("id",)),
    ("trash_restore", ("id", "name")),
]


@pytest.mark.parametrize(("name", "rest"), CALLS)
def test_wrong_arguments_are_refused(
    ioctx: rbd.rados.Ioctx, name: str, rest: Tuple[Any, ...]
) -> None:
    call = getattr(rbd.RBD(), name)
    for wrong in (None, "pool", 5, object()):
        with pytest.raises(TypeError):
            call(wrong, *rest)
    for i in range(len(rest)):
        for bad in (None, 5):
            with pytest.raises(TypeError):
                call(ioctx, *rest[:i], bad, *rest[i + 1 :])
        with pytest.raises(ValueError, match="NUL"):
            call(ioctx, *rest[:i], "a\0b", *rest[i + 1 :])
    ioctx.close()
    with pytest.raises(rbd.rados.Error):
        call(ioctx, *rest)


def test_a_delay_out_of_range_is_refused(ioctx: rbd.rados.Ioctx, image_id: str) -> None:
    for outside in (-1, 2**64):
        with pytest.raises(OverflowError):
            rbd.RBD().trash_move(ioctx, "image", outside)
    with pytest.raises(TypeError):
        rbd.RBD().trash_move(ioctx, "image", "soon")
    assert rbd.RBD().list(ioctx) == ["image"]
