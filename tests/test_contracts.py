"""What programs for the stock module depend on, beyond single calls."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support.location import in_thread

FEATURES = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK


def test_a_value_of_a_newer_release_is_refused_by_name(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    """The value works if the release knows it. Otherwise it is refused by its name."""
    rbd_image.create_snap("s")
    rbd_image.protect_snap("s")
    (snapshot,) = rbd_image.list_snaps()

    def clone() -> None:
        rbd.RBD().clone(rbd_ioctx, rbd_image.name, snapshot["id"], rbd_ioctx, "clone")

    if rbd.supports("rbd_clone4"):
        clone()
        rbd.RBD().remove(rbd_ioctx, "clone")
    else:
        with pytest.raises(rbd.FunctionNotSupported, match="rbd_clone4"):
            clone()
    rbd_image.unprotect_snap("s")
    assert rbd.RBD().list(rbd_ioctx) == [rbd_image.name]


def test_all_arguments_may_be_positional(
    rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    data = second_ioctx.get_pool_name()
    striped = FEATURES | rbd.RBD_FEATURE_STRIPINGV2
    layout = (striped, 21, 65536, 4, data)
    rbd_image.write(b"content", 0)
    rbd_image.create_snap("s")
    rbd_image.protect_snap("s")
    # Ten arguments; the last is the data pool.
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "s", rbd_ioctx, "clone", *layout)
    # Seven arguments.
    rbd_image.copy(rbd_ioctx, "copy", *layout)
    # Nine arguments.
    rbd_image.deep_copy(rbd_ioctx, "deep", *layout, None, False)
    rbd.RBD().create(rbd_ioctx, "new", 1 << 20, 21, False, striped, 65536, 4, data)
    for name in ("clone", "copy", "deep", "new"):
        with rbd.Image(rbd_ioctx, name, None, True) as made:
            assert made.stat()["order"] == 21, name
            assert (made.stripe_unit(), made.stripe_count()) == (65536, 4), name
            assert made.data_pool_id() == second_ioctx.get_pool_id(), name
            assert made.features() & striped == striped, name
            assert made.read(0, 7) == (bytes(7) if name == "new" else b"content"), name
    with rbd.Image(rbd_ioctx, rbd_image.name, "s", False) as snapshot:
        assert snapshot.read(0, 7) == b"content"
        with pytest.raises(rbd.ReadOnlyImage):
            snapshot.write(b"x", 0)


def test_one_thread_opens_and_another_closes(rbd_cluster: Cluster) -> None:
    made: Dict[str, Any] = {}
    name = "threads"

    def connect() -> None:
        made["cluster"] = rbd_cluster.connect()

    def open_pool() -> None:
        made["ioctx"] = made["cluster"].open_ioctx(rbd_cluster.pools[0])
        rbd.RBD().create(made["ioctx"], name, 1 << 20)

    def open_image() -> None:
        made["image"] = rbd.Image(made["ioctx"], name)

    for step in (connect, open_pool, open_image):
        in_thread(step)
    in_thread(lambda: made["image"].write(b"x", 0))
    assert made["image"].read(0, 1) == b"x"
    in_thread(made["image"].close)
    rbd.RBD().remove(made["ioctx"], name)
    in_thread(made["ioctx"].close)
    in_thread(made["cluster"].shutdown)
    assert made["image"].closed
    assert made["cluster"].state == "shutdown"
