"""A pool as a whole."""

from __future__ import annotations

import pytest

import rbd
import rbd.rados

MIB = 1 << 20


def test_pool_init_enables_the_application(new_pool: rbd.rados.Ioctx) -> None:
    assert new_pool.application_list() == []
    assert rbd.RBD().pool_init(new_pool, False) is None
    assert new_pool.application_list() == ["rbd"]
    rbd.RBD().pool_init(ioctx=new_pool, force=False)
    rbd.RBD().create(new_pool, "image", MIB)


def test_pool_init_of_another_application_needs_force(new_pool: rbd.rados.Ioctx) -> None:
    new_pool.application_enable("cephfs")
    with pytest.raises(rbd.PermissionError) as error:
        rbd.RBD().pool_init(new_pool, False)
    assert error.value.errno == 1
    rbd.RBD().pool_init(new_pool, force=True)
    assert sorted(new_pool.application_list()) == ["cephfs", "rbd"]


def test_statistics_count_images_and_snapshots(second_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(second_ioctx, "one", 8 * MIB)
    rbd.RBD().create(second_ioctx, "two", 2 * MIB)
    rbd.RBD().create(second_ioctx, "three", 4 * MIB)
    with rbd.Image(second_ioctx, "one") as image:
        image.create_snap("a")
        image.resize(MIB)
    with rbd.Image(second_ioctx, "three") as image:
        image.create_snap("b")
        number = image.id()
    rbd.RBD().trash_move(second_ioctx, "three")
    statistics = rbd.RBD().pool_stats_get(second_ioctx)
    assert rbd.RBD().pool_stats_get(ioctx=second_ioctx) == statistics
    rbd.RBD().trash_restore(second_ioctx, number, "three")
    assert list(statistics.items()) == [
        ("image_count", 2),
        ("image_provisioned_bytes", 3 * MIB),
        ("image_max_provisioned_bytes", 10 * MIB),
        ("image_snap_count", 1),
        ("trash_count", 1),
        ("trash_provisioned_bytes", 4 * MIB),
        ("trash_max_provisioned_bytes", 4 * MIB),
        ("trash_snap_count", 1),
    ]


def test_bad_arguments_are_refused(second_ioctx: rbd.rados.Ioctx) -> None:
    for wrong in (None, "pool", 5, object()):
        with pytest.raises(TypeError):
            rbd.RBD().pool_init(wrong, False)
        with pytest.raises(TypeError):
            rbd.RBD().pool_stats_get(wrong)
    with pytest.raises(TypeError):
        rbd.RBD().pool_init(second_ioctx)
    second_ioctx.close()
    with pytest.raises(rbd.rados.Error):
        rbd.RBD().pool_init(second_ioctx, False)
    with pytest.raises(rbd.rados.Error):
        rbd.RBD().pool_stats_get(second_ioctx)
