"""Mirroring of a pool: its mode and its names."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support.refusals import (
    Calls,
    refuses_other_than_an_open_ioctx,
    refuses_wrong_types,
    with_arguments,
)

call = rbd.RBD()


@pytest.fixture
def pool(rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide the pool in the mode that mirrors single images."""
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    yield rbd_ioctx
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


def test_the_mode_is_set_and_read(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert call.mirror_mode_get(rbd_ioctx) == rbd.RBD_MIRROR_MODE_DISABLED
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_POOL)
    assert call.mirror_mode_get(ioctx=rbd_ioctx) == rbd.RBD_MIRROR_MODE_POOL
    call.mirror_mode_set(ioctx=rbd_ioctx, mirror_mode=rbd.RBD_MIRROR_MODE_DISABLED)
    assert call.mirror_mode_get(rbd_ioctx) == rbd.RBD_MIRROR_MODE_DISABLED
    with pytest.raises(rbd.InvalidArgument):
        call.mirror_mode_set(rbd_ioctx, 77)


def test_the_site_name_is_set_and_read(rbd_cluster: Cluster) -> None:
    with rbd_cluster.connect() as cluster:
        assert call.mirror_site_name_get(cluster) == cluster.get_fsid()
        call.mirror_site_name_set(cluster, "here \u00e4")
        assert call.mirror_site_name_get(rados=cluster) == "here \u00e4"
        call.mirror_site_name_set(rados=cluster, site_name=b"")
        assert call.mirror_site_name_get(cluster) == cluster.get_fsid()
    for method in (
        lambda: call.mirror_site_name_get(cluster),
        lambda: call.mirror_site_name_set(cluster, "here"),
    ):
        with pytest.raises(rbd.rados.RadosStateError):
            method()


@pytest.mark.needs("rbd_mirror_uuid_get")
def test_the_uuid_is_constant(pool: rbd.rados.Ioctx) -> None:
    uuid = call.mirror_uuid_get(pool)
    assert len(uuid) == 36
    assert call.mirror_uuid_get(ioctx=pool) == uuid


@pytest.mark.needs("rbd_mirror_remote_namespace_get")
def test_the_remote_namespace_is_set_and_read(rbd_ioctx: rbd.rados.Ioctx) -> None:
    call.namespace_create(rbd_ioctx, "here")
    rbd_ioctx.set_namespace("here")
    try:
        assert call.mirror_remote_namespace_get(rbd_ioctx) == "here"
        call.mirror_remote_namespace_set(rbd_ioctx, "there")
        assert call.mirror_remote_namespace_get(ioctx=rbd_ioctx) == "there"
        call.mirror_remote_namespace_set(ioctx=rbd_ioctx, remote_namespace="here")
    finally:
        rbd_ioctx.set_namespace("")
        call.namespace_remove(rbd_ioctx, "here")


CALLS: Calls = [
    ("mirror_mode_get", ()),
    ("mirror_mode_set", (0,)),
    pytest.param("mirror_uuid_get", (), marks=pytest.mark.needs("rbd_mirror_uuid_get")),
    pytest.param(
        "mirror_remote_namespace_get",
        (),
        marks=pytest.mark.needs("rbd_mirror_remote_namespace_get"),
    ),
    pytest.param(
        "mirror_remote_namespace_set",
        ("there",),
        marks=pytest.mark.needs("rbd_mirror_remote_namespace_set"),
    ),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_or_foreign_ioctx_is_refused(
    rbd_cluster: Cluster, method: str, arguments: Any
) -> None:
    refuses_other_than_an_open_ioctx(rbd_cluster, method, arguments)


@pytest.mark.parametrize(("method", "arguments"), with_arguments(CALLS))
def test_wrong_types_are_refused(rbd_ioctx: rbd.rados.Ioctx, method: str, arguments: Any) -> None:
    refuses_wrong_types(call, method, arguments, rbd_ioctx)


def test_the_site_name_needs_a_connection(rbd_ioctx: rbd.rados.Ioctx) -> None:
    wrong: Any = object()
    for method in (
        lambda: call.mirror_site_name_get(rbd_ioctx),
        lambda: call.mirror_site_name_get(wrong),
        lambda: call.mirror_site_name_set(wrong, "here"),
    ):
        with pytest.raises(TypeError):
            method()
