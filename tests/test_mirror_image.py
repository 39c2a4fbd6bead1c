"""Mirroring of one image, without a daemon: enabled, demoted, promoted, disabled."""

from __future__ import annotations

import errno
from typing import Any, Callable, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from support.location import in_utc
from support.refusals import Calls, refuses_closed_image

JOURNAL = rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL
SNAPSHOT = rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT
call = rbd.RBD()

pytestmark = pytest.mark.rbd_image(
    features=rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING
)
in_snapshot_mode = pytest.mark.needs("rbd_mirror_image_enable2")
MODES = [JOURNAL, pytest.param(SNAPSHOT, marks=in_snapshot_mode)]


@pytest.fixture
def image(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> Iterator[rbd.Image]:
    """Provide an image of a pool that mirrors single images."""
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    yield rbd_image
    if not rbd_image.closed:
        rbd_image.mirror_image_disable(True)
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


@pytest.fixture
def peer(image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[None]:
    """Add a peer, because snapshot mode takes no further snapshots without one."""
    uuid = call.mirror_peer_add(rbd_ioctx, "there", "client.x")
    yield
    call.mirror_peer_remove(rbd_ioctx, uuid)


@pytest.mark.parametrize("mode", MODES)
def test_an_image_is_demoted_and_promoted(image: rbd.Image, mode: int) -> None:
    nothing = {"global_id": "", "state": rbd.RBD_MIRROR_IMAGE_DISABLED, "primary": False}
    assert image.mirror_image_get_info() == nothing
    image.mirror_image_enable(mode)
    image.mirror_image_enable(mode=mode)
    info = image.mirror_image_get_info()
    assert set(info) == {"global_id", "state", "primary"}
    assert len(info["global_id"]) == 36
    assert (info["state"], info["primary"]) == (rbd.RBD_MIRROR_IMAGE_ENABLED, True)
    if rbd.supports("rbd_mirror_image_get_mode"):
        assert image.mirror_image_get_mode() == mode
        with pytest.raises(rbd.InvalidArgument):
            image.mirror_image_enable(1 - mode)
    with pytest.raises(rbd.InvalidArgument):
        image.mirror_image_promote(False)
    with pytest.raises(rbd.InvalidArgument):
        image.mirror_image_resync()
    image.mirror_image_demote()
    assert image.mirror_image_get_info()["primary"] is False
    with pytest.raises((rbd.ReadOnlyImage, rbd.PermissionError)):
        image.write(b"x", 0)
    with pytest.raises(rbd.InvalidArgument):
        image.mirror_image_demote()
    image.mirror_image_promote(force=True)
    assert image.mirror_image_get_info() == info
    image.write(b"x", 0)
    image.mirror_image_disable(False)
    assert image.mirror_image_get_info() == nothing
    image.mirror_image_disable(force=True)


def test_the_default_mode_is_the_journal(image: rbd.Image) -> None:
    image.mirror_image_enable()
    assert image.mirror_image_get_info()["primary"] is True
    if rbd.supports("rbd_mirror_image_get_mode"):
        assert image.mirror_image_get_mode() == JOURNAL


@pytest.mark.needs("rbd_mirror_image_create_snapshot2")
def test_mirror_snapshots_are_taken(image: rbd.Image, peer: None) -> None:
    image.mirror_image_enable(SNAPSHOT)
    first = image.mirror_image_create_snapshot()
    second = image.mirror_image_create_snapshot(flags=rbd.RBD_SNAP_CREATE_SKIP_QUIESCE)
    assert first < second
    assert {first, second} <= {snapshot["id"] for snapshot in image.list_snaps()}
    with pytest.raises(rbd.InvalidArgument):
        image.mirror_image_create_snapshot(99)


@pytest.mark.needs("rbd_mirror_image_create_snapshot2")
def test_journal_mode_refuses_mirror_snapshots(image: rbd.Image) -> None:
    image.mirror_image_enable(JOURNAL)
    with pytest.raises(rbd.InvalidArgument):
        image.mirror_image_create_snapshot()


@pytest.mark.parametrize("mode", MODES)
def test_the_status_describes_the_image(
    rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image, mode: int
) -> None:
    image.mirror_image_enable(mode)
    status = image.mirror_image_get_status()
    assert status["name"] == image.name
    assert status["id"] == image.id()
    assert status["info"] == image.mirror_image_get_info()
    assert status["state"] == rbd.MIRROR_IMAGE_STATUS_STATE_UNKNOWN
    assert status["description"] == "status not found"
    assert in_utc(status["last_update"]).timestamp() == 0
    assert status["up"] is False
    assert status["remote_statuses"] == []
    assert len(status) == 8
    # No daemon replays the image.
    with pytest.raises(rbd.ImageNotFound):
        image.mirror_image_get_instance_id()

    del status["info"]["primary"]
    statuses = call.mirror_image_status_list(rbd_ioctx)
    assert isinstance(statuses, rbd.MirrorImageStatusIterator)
    assert list(statuses) == list(statuses) == [status]
    statuses.get_next_chunk()
    assert list(statuses) == [status]
    assert call.mirror_image_status_summary(rbd_ioctx) == [
        (rbd.MIRROR_IMAGE_STATUS_STATE_UNKNOWN, 1)
    ]
    instances = call.mirror_image_instance_id_list(rbd_ioctx)
    assert isinstance(instances, rbd.MirrorImageInstanceIdIterator)
    assert list(instances) == []


@pytest.mark.needs("rbd_mirror_image_info_list")
@pytest.mark.parametrize("mode", MODES)
def test_infos_are_listed_by_mode(rbd_ioctx: rbd.rados.Ioctx, image: rbd.Image, mode: int) -> None:
    image.mirror_image_enable(mode)
    expected = [(image.id(), {"mode": mode, **image.mirror_image_get_info()})]
    infos = call.mirror_image_info_list(rbd_ioctx)
    assert isinstance(infos, rbd.MirrorImageInfoIterator)
    assert list(infos) == list(infos) == expected
    assert list(call.mirror_image_info_list(rbd_ioctx, mode)) == expected
    assert list(call.mirror_image_info_list(ioctx=rbd_ioctx, mode_filter=1 - mode)) == []
    assert list(rbd.MirrorImageInfoIterator(rbd_ioctx, None)) == expected


def finish(start: Callable[[Callable[..., None]], rbd.Completion]) -> List[Any]:
    """Return the return value of an asynchronous call, and its callback's arguments."""
    got: List[Any] = []
    completion = start(lambda _, *rest: got.extend(rest))
    completion.wait_for_complete_and_cb()
    return [completion.get_return_value(), *got]


@pytest.mark.needs("rbd_aio_mirror_image_get_global_status")
def test_asynchronous_forms_equal_the_synchronous_ones(image: rbd.Image) -> None:
    image.mirror_image_enable(JOURNAL)
    assert finish(image.aio_mirror_image_get_info) == [0, image.mirror_image_get_info()]
    result, status = finish(image.aio_mirror_image_get_status)
    assert result == 0
    assert status == image.mirror_image_get_status()
    assert status["id"] == image.id()
    assert finish(image.aio_mirror_image_demote) == [0]
    assert image.mirror_image_get_info()["primary"] is False
    assert finish(image.aio_mirror_image_demote) == [-errno.EINVAL]
    assert finish(lambda cb: image.aio_mirror_image_promote(False, cb)) == [0]
    assert image.mirror_image_get_info()["primary"] is True
    assert finish(lambda cb: image.aio_mirror_image_promote(force=True, oncomplete=cb)) == [
        -errno.EINVAL
    ]


def test_a_pool_that_is_not_mirrored_refuses_mirroring(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.mirror_image_enable(JOURNAL)
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.mirror_image_get_instance_id()


CALLS: Calls = [
    ("mirror_image_enable", (JOURNAL,)),
    ("mirror_image_disable", (False,)),
    ("mirror_image_promote", (False,)),
    ("mirror_image_demote", ()),
    ("mirror_image_resync", ()),
    ("mirror_image_get_info", ()),
    ("mirror_image_get_status", ()),
    ("mirror_image_get_instance_id", ()),
    ("aio_mirror_image_get_info", (print,)),
    ("aio_mirror_image_promote", (False, print)),
    ("aio_mirror_image_demote", (print,)),
    pytest.param("mirror_image_get_mode", (), marks=pytest.mark.needs("rbd_mirror_image_get_mode")),
    pytest.param(
        "mirror_image_create_snapshot",
        (0,),
        marks=pytest.mark.needs("rbd_mirror_image_create_snapshot"),
    ),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_image_is_refused(
    rbd_image: rbd.Image, method: str, arguments: Tuple[Any, ...]
) -> None:
    refuses_closed_image(rbd_image, method, arguments)


def test_wrong_types_are_refused(rbd_image: rbd.Image) -> None:
    wrong: Any = object()
    for method in (
        lambda: rbd_image.mirror_image_enable(wrong),
        lambda: rbd_image.mirror_image_disable(),
        lambda: rbd_image.mirror_image_promote(),
        lambda: rbd_image.mirror_image_demote(wrong),
    ):
        with pytest.raises(TypeError):
            method()
