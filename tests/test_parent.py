"""The parent of a clone."""

from __future__ import annotations

from typing import List

import pytest

import rbd
import rbd.rados

CALLS = ["parent_info", "parent_id", "get_parent_image_spec"]


@pytest.mark.parametrize("clone_format", [1, 2])
def test_a_parent_may_be_in_another_pool(
    rbd_image: rbd.Image,
    rbd_ioctx: rbd.rados.Ioctx,
    second_ioctx: rbd.rados.Ioctx,
    clone_format: int,
) -> None:
    rbd_image.create_snap("a")
    if clone_format == 1:
        rbd_image.protect_snap("a")
    rbd.RBD().clone(
        rbd_ioctx, rbd_image.name, "a", second_ioctx, "clone", clone_format=clone_format
    )
    with rbd.Image(second_ioctx, "clone") as clone:
        pool = rbd_ioctx.get_pool_name()
        assert clone.parent_info() == (pool, rbd_image.name, "a")
        assert clone.parent_id() == rbd_image.id()
        spec = clone.get_parent_image_spec()
        expected = {
            "pool_name": pool,
            "pool_namespace": rbd_ioctx.get_namespace(),
            "image_name": rbd_image.name,
            "snap_name": "a",
        }
        if rbd.supports("rbd_clone4"):
            # Ceph 20's own module returns more.
            (snapshot,) = rbd_image.list_snaps()
            expected["pool_id"] = rbd_ioctx.get_pool_id()
            expected["image_id"] = rbd_image.id()
            expected["trash"] = False
            expected["snap_id"] = snapshot["id"]
            expected["snap_namespace_type"] = rbd.RBD_SNAP_NAMESPACE_TYPE_USER
        assert spec == expected
        assert list(spec) == list(expected)
        clone.flatten()
        for call in CALLS:
            with pytest.raises(rbd.ImageNotFound):
                getattr(clone, call)()
    rbd.RBD().remove(second_ioctx, "clone")
    if clone_format == 1:
        rbd_image.unprotect_snap("a")


def test_a_parent_may_be_in_another_namespace(
    namespace_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().create(namespace_ioctx, "parent", 1 << 20)
    with rbd.Image(namespace_ioctx, "parent") as parent:
        parent.create_snap("a")
        rbd.RBD().clone(namespace_ioctx, "parent", "a", second_ioctx, "clone", clone_format=2)
        with rbd.Image(second_ioctx, "clone") as clone:
            assert (
                clone.get_parent_image_spec()["pool_namespace"] == namespace_ioctx.get_namespace()
            )
            assert clone.parent_info() == (namespace_ioctx.get_pool_name(), "parent", "a")
        rbd.RBD().remove(second_ioctx, "clone")


def test_names_may_have_any_length(rbd_ioctx: rbd.rados.Ioctx) -> None:
    # The ctypes module failed at 64 bytes.
    name, snapshot = "p" * 90, "s" * 200
    rbd.RBD().create(rbd_ioctx, name, 1 << 20)
    with rbd.Image(rbd_ioctx, name) as parent:
        parent.create_snap(snapshot)
    rbd.RBD().clone(rbd_ioctx, name, snapshot, rbd_ioctx, "clone", clone_format=2)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        assert clone.parent_info()[1:] == (name, snapshot)


def test_a_parent_may_be_in_the_trash(rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd_image.create_snap("a")
    number = rbd_image.id()
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "a", rbd_ioctx, "clone", clone_format=2)
    rbd_image.close()
    rbd.RBD().trash_move(rbd_ioctx, rbd_image.name)
    try:
        with rbd.Image(rbd_ioctx, "clone") as clone:
            assert clone.parent_id() == number
            assert clone.parent_info()[1:] == (rbd_image.name, "a")
    finally:
        rbd.RBD().trash_restore(rbd_ioctx, number, rbd_image.name)


@pytest.mark.parametrize("call", CALLS)
def test_an_image_without_a_parent_is_an_error(rbd_image: rbd.Image, call: str) -> None:
    with pytest.raises(rbd.ImageNotFound) as error:
        getattr(rbd_image, call)()
    assert error.value.errno == 2
    assert repr(rbd_image.name) in str(error.value)
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        getattr(rbd_image, call)()


def test_the_calls_take_no_arguments(rbd_image: rbd.Image) -> None:
    extra: List[int] = [1]
    for call in CALLS:
        with pytest.raises(TypeError):
            getattr(rbd_image, call)(*extra)
