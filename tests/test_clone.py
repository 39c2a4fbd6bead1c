"""Clones: both formats, every option, by a snapshot's name and by its id."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import rbd
import rbd.rados


@pytest.fixture
def parent(rbd_image: rbd.Image) -> rbd.Image:
    rbd_image.write(b"parent", 0)
    rbd_image.create_snap("a")
    return rbd_image


def is_second_format(image: rbd.Image) -> bool:
    return bool(image.op_features() & rbd.RBD_OPERATION_FEATURE_CLONE_CHILD)


def test_the_first_format_needs_a_protected_snapshot(
    parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    with pytest.raises(rbd.InvalidArgument):
        rbd.RBD().clone(rbd_ioctx, parent.name, "a", rbd_ioctx, "clone", clone_format=1)
    parent.protect_snap("a")
    rbd.RBD().clone(rbd_ioctx, parent.name, "a", rbd_ioctx, "clone", clone_format=1)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert clone.read(0, 6) == b"parent"
        assert clone.overlap() == parent.size()
        assert not is_second_format(clone)
    with pytest.raises(rbd.ImageBusy):
        parent.unprotect_snap("a")


def test_the_second_format_needs_no_protection(
    parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().clone(rbd_ioctx, parent.name, "a", rbd_ioctx, "clone", clone_format=2)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert is_second_format(clone)
        clone.write(b"C", 0)
        assert clone.read(0, 6) == b"Carent"
    assert parent.read(0, 6) == b"parent"
    assert parent.op_features() & rbd.RBD_OPERATION_FEATURE_CLONE_PARENT


@pytest.mark.parametrize("snapshot", ["", b"", 2**64 - 2])
def test_a_missing_snapshot_cannot_be_the_parent(
    parent: rbd.Image, rbd_ioctx: Any, snapshot: Any
) -> None:
    """librbd's own check ends the process."""
    error = rbd.InvalidArgument
    if isinstance(snapshot, int) and not rbd.supports("rbd_clone4"):
        error = rbd.FunctionNotSupported
    with pytest.raises(error):
        rbd.RBD().clone(rbd_ioctx, parent.name, snapshot, rbd_ioctx, "clone")
    assert rbd.RBD().list(rbd_ioctx) == [parent.name]


def test_every_option_is_honoured(
    parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    pool = second_ioctx.get_pool_name()
    layering = rbd.RBD_FEATURE_LAYERING
    rbd.RBD().clone(
        rbd_ioctx, parent.name, "a", rbd_ioctx, "one", layering, 21, 1 << 16, 2, pool, 2
    )
    rbd.RBD().clone(
        p_ioctx=rbd_ioctx,
        p_name=parent.name,
        p_snapshot="a",
        c_ioctx=rbd_ioctx,
        c_name="two",
        features=layering,
        order=21,
        stripe_unit=1 << 16,
        stripe_count=2,
        data_pool=pool,
        clone_format=2,
    )
    for name in ("one", "two"):
        with rbd.Image(rbd_ioctx, name) as clone:
            assert clone.features() == layering | (
                rbd.RBD_FEATURE_STRIPINGV2 | rbd.RBD_FEATURE_DATA_POOL | rbd.RBD_FEATURE_OPERATIONS
            )
            assert clone.stat()["order"] == 21
            assert (clone.stripe_unit(), clone.stripe_count()) == (1 << 16, 2)
            assert clone.data_pool_id() == second_ioctx.get_pool_id()
            assert clone.read(0, 6) == b"parent"


def test_zeros_mean_the_default(parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    # The ctypes module had this form, with its name of the snapshot's parameter, and an order of 0.
    parent.protect_snap("a")
    rbd.RBD().clone(
        p_ioctx=rbd_ioctx,
        p_name=parent.name,
        p_snapname="a",
        c_ioctx=rbd_ioctx,
        c_name="clone",
        features=rbd.RBD_FEATURE_LAYERING,
        order=0,
    )
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert clone.stat()["order"] == parent.stat()["order"]


@pytest.mark.needs("rbd_clone4")
def test_a_snapshot_id_names_the_parent(parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    (snapshot,) = parent.list_snaps()
    rbd.RBD().clone(rbd_ioctx, parent.name, snapshot["id"], rbd_ioctx, "clone", clone_format=2)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert clone.parent_info()[1:] == (parent.name, "a")
    with pytest.raises(rbd.ImageNotFound):
        rbd.RBD().clone(rbd_ioctx, parent.name, 1 << 40, rbd_ioctx, "other", clone_format=2)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"p_name": "missing"}, rbd.ImageNotFound),
        ({"p_snapshot": "missing"}, rbd.ImageNotFound),
        ({"c_name": "exists"}, rbd.ImageExists),
        ({"clone_format": 7}, rbd.InvalidArgument),
        ({"order": 99}, rbd.ArgumentOutOfRange),
        ({"data_pool": "missing"}, rbd.Error),
        ({"p_snapshot": None}, TypeError),
        ({"p_snapshot": 1.5}, TypeError),
        ({"p_snapshot": -1}, OverflowError),
        ({"p_name": None}, TypeError),
        ({"c_name": 5}, TypeError),
        ({"p_ioctx": None}, TypeError),
        ({"c_ioctx": "pool"}, TypeError),
        ({"features": -1}, OverflowError),
        ({"features": "layering"}, TypeError),
    ],
)
def test_invalid_clones_are_refused(
    parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, changed: Dict[str, Any], error: type
) -> None:
    rbd.RBD().create(rbd_ioctx, "exists", 1 << 20)
    arguments: Dict[str, Any] = {
        "p_ioctx": rbd_ioctx,
        "p_name": parent.name,
        "p_snapshot": "a",
        "c_ioctx": rbd_ioctx,
        "c_name": "clone",
        "clone_format": 2,
    }
    with pytest.raises(error):
        rbd.RBD().clone(**{**arguments, **changed})
    assert "clone" not in rbd.RBD().list(rbd_ioctx)


def test_a_closed_ioctx_is_refused(
    parent: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    second_ioctx.close()
    for ends in ((rbd_ioctx, second_ioctx), (second_ioctx, rbd_ioctx)):
        with pytest.raises(rbd.rados.Error):
            rbd.RBD().clone(ends[0], parent.name, "a", ends[1], "clone", clone_format=2)
