"""What a snapshot belongs to: the user, a group, the trash or mirroring."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster

TYPES = {
    "group": rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP,
    "trash": rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH,
    "mirror": rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR,
}


def place(ioctx: rbd.rados.Ioctx) -> str:
    """Return the ioctx's pool and namespace in the form of the command line."""
    namespace = ioctx.get_namespace()
    return ioctx.get_pool_name() + (f"/{namespace}" if namespace else "")


def only_snapshot(image: rbd.Image) -> Dict[str, Any]:
    (snapshot,) = image.list_snaps()
    return snapshot


def check_others(image: rbd.Image, snap_id: int, kind: str) -> None:
    """Check that each call for another type of namespace raises InvalidArgument."""
    assert image.snap_get_namespace_type(snap_id=snap_id) == TYPES.get(kind, 0)
    for other in TYPES:
        if other == kind or not hasattr(image, f"snap_get_{other}_namespace"):
            continue
        with pytest.raises(rbd.InvalidArgument) as error:
            getattr(image, f"snap_get_{other}_namespace")(snap_id)
        assert error.value.errno == 22


def test_a_user_s_snapshot_has_no_namespace_details(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("a")
    snapshot = only_snapshot(rbd_image)
    assert sorted(snapshot) == ["id", "name", "namespace", "size"]
    check_others(rbd_image, snapshot["id"], "user")


@pytest.fixture
def group(rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> Iterator[str]:
    """Provide a group with the image of rbd_image in it and the snapshot 'gs'."""
    pool = place(rbd_ioctx)
    group = f"{pool}/origin-group"
    rbd_cluster.rbd("group", "create", group)
    rbd_cluster.rbd("group", "image", "add", group, f"{pool}/{rbd_image.name}")
    rbd_cluster.rbd("group", "snap", "create", f"{group}@gs")
    yield group
    rbd_cluster.rbd("group", "snap", "remove", f"{group}@gs")
    rbd_cluster.rbd("group", "remove", group)


def test_a_snapshot_of_a_group_names_the_group(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, group: str
) -> None:
    snapshot = only_snapshot(rbd_image)
    assert snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP
    expected = {"pool": rbd_ioctx.get_pool_id(), "name": "origin-group", "snap_name": "gs"}
    assert snapshot["group"] == expected
    assert rbd_image.snap_get_group_namespace(snapshot["id"]) == expected
    assert rbd_image.snap_get_group_namespace(snap_id=snapshot["id"]) == expected
    check_others(rbd_image, snapshot["id"], "group")
    rbd_image.set_snap_by_id(snapshot["id"])
    assert rbd_image.read(0, 1) == b"\0"


def test_a_snapshot_in_the_trash_has_its_old_name(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    name = "snapshot-" + "n" * 300
    rbd_image.create_snap(name)
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, name, rbd_ioctx, "clone", clone_format=2)
    number = only_snapshot(rbd_image)["id"]
    rbd_image.remove_snap(name)
    snapshot = only_snapshot(rbd_image)
    assert snapshot["id"] == number
    assert snapshot["name"] != name
    assert snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH
    expected: Dict[str, Any] = {"original_name": name}
    if rbd.supports("rbd_snap_get_trash_namespace2"):
        expected["original_namespace_type"] = rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    assert snapshot["trash"] == expected
    assert rbd_image.snap_get_trash_namespace(number) == expected
    assert rbd_image.snap_get_trash_namespace(snap_id=number) == expected
    check_others(rbd_image, number, "trash")
    assert rbd_image.get_snap_timestamp(number).year > 2000
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.set_snap(name)
    # It is removed with its last clone.
    rbd.RBD().remove(rbd_ioctx, "clone")
    assert list(rbd_image.list_snaps()) == []


@pytest.fixture
def mirrored(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> Iterator[rbd.Image]:
    """Provide the image of rbd_image, mirrored by snapshots."""
    pool = place(rbd_ioctx)
    rbd_cluster.rbd("mirror", "pool", "enable", pool, "image")
    try:
        rbd_cluster.rbd("mirror", "image", "enable", f"{pool}/{rbd_image.name}", "snapshot")
        yield rbd_image
        rbd_cluster.rbd("mirror", "image", "disable", f"{pool}/{rbd_image.name}")
    finally:
        rbd_cluster.rbd("mirror", "pool", "disable", pool)


@pytest.mark.needs("rbd_snap_get_mirror_namespace")
def test_a_mirror_snapshot_has_its_state(mirrored: rbd.Image) -> None:
    snapshot = only_snapshot(mirrored)
    assert snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR
    mirror = mirrored.snap_get_mirror_namespace(snapshot["id"])
    assert mirror == snapshot["mirror"]
    assert mirror == mirrored.snap_get_mirror_namespace(snap_id=snapshot["id"])
    assert list(mirror) == [
        "state",
        "mirror_peer_uuids",
        "complete",
        "primary_mirror_uuid",
        "primary_snap_id",
        "last_copied_object_number",
    ]
    assert mirror["state"] == rbd.RBD_SNAP_MIRROR_STATE_PRIMARY
    assert mirror["mirror_peer_uuids"] == []
    assert mirror["complete"] is True
    assert mirror["primary_mirror_uuid"] == ""
    assert mirror["primary_snap_id"] == 2**64 - 2
    assert mirror["last_copied_object_number"] == 0
    check_others(mirrored, snapshot["id"], "mirror")


@pytest.mark.needs("rbd_snap_get_mirror_namespace")
def test_a_mirror_snapshot_lists_its_peers(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, mirrored: rbd.Image
) -> None:
    pool = rbd_ioctx.get_pool_name()
    peer = rbd_cluster.rbd("mirror", "pool", "peer", "add", pool, "client.rbd@elsewhere").strip()
    try:
        rbd_cluster.rbd("mirror", "image", "snapshot", f"{place(rbd_ioctx)}/{mirrored.name}")
        newest = list(mirrored.list_snaps())[-1]
        assert newest["mirror"]["mirror_peer_uuids"] == [peer]
    finally:
        rbd_cluster.rbd("mirror", "pool", "peer", "remove", pool, peer)
