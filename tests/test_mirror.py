"""Mirroring of a pool: its mode, names, tokens and peers."""

from __future__ import annotations

import base64
import json
from typing import Any, Iterator

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster

RX_TX = rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX
call = rbd.RBD()


@pytest.fixture
def pool(rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """The pool, mirroring single images."""
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    yield rbd_ioctx
    for peer in call.mirror_peer_list(rbd_ioctx):
        call.mirror_peer_remove(rbd_ioctx, peer["uuid"])
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


def test_mode(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert call.mirror_mode_get(rbd_ioctx) == rbd.RBD_MIRROR_MODE_DISABLED
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_POOL)
    assert call.mirror_mode_get(ioctx=rbd_ioctx) == rbd.RBD_MIRROR_MODE_POOL
    call.mirror_mode_set(ioctx=rbd_ioctx, mirror_mode=rbd.RBD_MIRROR_MODE_DISABLED)
    assert call.mirror_mode_get(rbd_ioctx) == rbd.RBD_MIRROR_MODE_DISABLED
    with pytest.raises(rbd.InvalidArgument):
        call.mirror_mode_set(rbd_ioctx, 77)


def test_site_name(rbd_cluster: Cluster) -> None:
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
def test_uuid(pool: rbd.rados.Ioctx) -> None:
    uuid = call.mirror_uuid_get(pool)
    assert len(uuid) == 36
    assert call.mirror_uuid_get(ioctx=pool) == uuid


@pytest.mark.needs("rbd_mirror_remote_namespace_get")
def test_remote_namespace(rbd_ioctx: rbd.rados.Ioctx) -> None:
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


def test_bootstrap_token(rbd_cluster: Cluster, pool: rbd.rados.Ioctx) -> None:
    token = call.mirror_peer_bootstrap_create(pool)
    assert call.mirror_peer_bootstrap_create(ioctx=pool) == token
    content = json.loads(base64.b64decode(token))
    with rbd_cluster.connect() as cluster:
        assert content["fsid"] == cluster.get_fsid()
    for method in (
        # A cluster cannot be its own peer.
        lambda: call.mirror_peer_bootstrap_import(pool, RX_TX, token),
        lambda: call.mirror_peer_bootstrap_import(pool, RX_TX, "garbage"),
        lambda: call.mirror_peer_bootstrap_import(ioctx=pool, direction=99, token=token),
    ):
        with pytest.raises(rbd.InvalidArgument) as error:
            method()
        assert content["key"] not in str(error.value)
        assert token not in str(error.value)


def test_no_token_without_mirroring(rbd_ioctx: rbd.rados.Ioctx) -> None:
    with pytest.raises(rbd.InvalidArgument):
        call.mirror_peer_bootstrap_create(rbd_ioctx)


def test_peers(pool: rbd.rados.Ioctx) -> None:
    assert list(call.mirror_peer_list(pool)) == []
    uuid = call.mirror_peer_add(pool, "there", "client.one")
    assert len(uuid) == 36
    peers = call.mirror_peer_list(ioctx=pool)
    assert isinstance(peers, rbd.MirrorPeerIterator)
    expected = {
        "uuid": uuid,
        "direction": RX_TX,
        "site_name": "there",
        "cluster_name": "there",
        "mirror_uuid": "",
        "client_name": "client.one",
    }
    assert list(peers) == list(peers) == [expected]
    with pytest.raises(rbd.ImageExists):
        call.mirror_peer_add(pool, "there", "client.one")
    call.mirror_peer_set_client(pool, uuid, "client.two")
    call.mirror_peer_set_name(pool, uuid, "elsewhere")
    (peer,) = call.mirror_peer_list(pool)
    assert (peer["client_name"], peer["site_name"]) == ("client.two", "elsewhere")
    call.mirror_peer_set_client(ioctx=pool, uuid=uuid, client_name="client.three")
    call.mirror_peer_set_cluster(ioctx=pool, uuid=uuid, cluster_name="older")
    (peer,) = call.mirror_peer_list(pool)
    assert (peer["client_name"], peer["site_name"]) == ("client.three", "older")
    call.mirror_peer_set_name(ioctx=pool, uuid=uuid, site_name="newer")
    call.mirror_peer_remove(ioctx=pool, uuid=uuid)
    assert list(call.mirror_peer_list(pool)) == []
    # As in the stock module: what is not there needs no removal.
    call.mirror_peer_remove(pool, uuid)


@pytest.mark.needs("rbd_mirror_peer_site_set_direction")
def test_direction(pool: rbd.rados.Ioctx) -> None:
    uuid = call.mirror_peer_add(
        ioctx=pool,
        site_name="there",
        client_name="client.one",
        direction=rbd.RBD_MIRROR_PEER_DIRECTION_RX,
    )
    (peer,) = call.mirror_peer_list(pool)
    assert peer["direction"] == rbd.RBD_MIRROR_PEER_DIRECTION_RX
    call.mirror_peer_set_direction(pool, uuid, RX_TX)
    (peer,) = call.mirror_peer_list(pool)
    assert peer["direction"] == RX_TX
    call.mirror_peer_set_direction(
        ioctx=pool, uuid=uuid, direction=rbd.RBD_MIRROR_PEER_DIRECTION_RX
    )
    with pytest.raises(rbd.InvalidArgument):
        call.mirror_peer_add(pool, "other", "client.x", 77)


def test_attributes(pool: rbd.rados.Ioctx) -> None:
    uuid = call.mirror_peer_add(pool, "there", "client.one")
    with pytest.raises(rbd.ImageNotFound):
        call.mirror_peer_get_attributes(pool, uuid)
    attributes = {
        rbd.RBD_MIRROR_PEER_ATTRIBUTE_NAME_MON_HOST: "127.0.0.1",
        rbd.RBD_MIRROR_PEER_ATTRIBUTE_NAME_KEY: "k" * 9000,
    }
    call.mirror_peer_set_attributes(pool, uuid, attributes)
    assert call.mirror_peer_get_attributes(pool, uuid) == attributes
    call.mirror_peer_set_attributes(ioctx=pool, uuid=uuid, attributes={"key": ""})
    assert call.mirror_peer_get_attributes(ioctx=pool, uuid=uuid) == {"key": ""}


def test_missing_peer(pool: rbd.rados.Ioctx) -> None:
    for method in (
        lambda: call.mirror_peer_get_attributes(pool, "missing"),
        lambda: call.mirror_peer_set_attributes(pool, "missing", {"key": "secret"}),
        lambda: call.mirror_peer_set_client(pool, "missing", "client.x"),
        lambda: call.mirror_peer_set_name(pool, "missing", "name"),
        lambda: call.mirror_peer_set_cluster(pool, "missing", "name"),
    ):
        with pytest.raises(rbd.ImageNotFound) as error:
            method()
        assert error.value.errno == 2
        assert "secret" not in str(error.value)


def test_nothing_is_mirrored(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert call.mirror_image_status_summary(rbd_ioctx) == []
    assert list(call.mirror_image_status_list(ioctx=rbd_ioctx)) == []
    assert list(call.mirror_image_instance_id_list(ioctx=rbd_ioctx)) == []


METHODS = [
    ("mirror_mode_get", ()),
    ("mirror_mode_set", (0,)),
    ("mirror_peer_bootstrap_create", ()),
    ("mirror_peer_bootstrap_import", (RX_TX, "token")),
    ("mirror_peer_add", ("site", "client.x")),
    ("mirror_peer_remove", ("uuid",)),
    ("mirror_peer_list", ()),
    ("mirror_peer_get_attributes", ("uuid",)),
    ("mirror_peer_set_attributes", ("uuid", {})),
    ("mirror_peer_set_client", ("uuid", "client.x")),
    ("mirror_peer_set_name", ("uuid", "name")),
    ("mirror_peer_set_cluster", ("uuid", "name")),
    ("mirror_image_status_list", ()),
    ("mirror_image_status_summary", ()),
    ("mirror_image_instance_id_list", ()),
    pytest.param(
        "mirror_image_info_list", (), marks=pytest.mark.needs("rbd_mirror_image_info_list")
    ),
    pytest.param("mirror_uuid_get", (), marks=pytest.mark.needs("rbd_mirror_uuid_get")),
]


@pytest.mark.parametrize(("method", "arguments"), METHODS)
def test_closed_and_foreign_ioctx(rbd_cluster: Cluster, method: str, arguments: Any) -> None:
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
        ioctx.close()
        with pytest.raises(rbd.rados.IoctxStateError):
            getattr(call, method)(ioctx, *arguments)
    for wrong in (None, 3, "rbd", cluster):
        with pytest.raises(TypeError):
            getattr(call, method)(wrong, *arguments)


@pytest.mark.parametrize(("method", "arguments"), [m for m in METHODS if m[1]][:9])
def test_wrong_type(rbd_ioctx: rbd.rados.Ioctx, method: str, arguments: Any) -> None:
    for i in range(len(arguments)):
        wrong = [*arguments[:i], object(), *arguments[i + 1 :]]
        with pytest.raises(TypeError):
            getattr(call, method)(rbd_ioctx, *wrong)


def test_wrong_types(rbd_ioctx: rbd.rados.Ioctx) -> None:
    wrong: Any = object()
    for method in (
        lambda: call.mirror_site_name_get(rbd_ioctx),
        lambda: call.mirror_site_name_get(wrong),
        lambda: call.mirror_site_name_set(wrong, "here"),
        lambda: call.mirror_peer_set_attributes(rbd_ioctx, "uuid", {"key": 3}),
        lambda: call.mirror_peer_add(rbd_ioctx, "site", "client.x", wrong),
        lambda: rbd.MirrorPeerIterator(wrong),
        lambda: rbd.MirrorImageStatusIterator(wrong),
        lambda: rbd.MirrorImageInstanceIdIterator(wrong),
        lambda: rbd.MirrorImageInfoIterator(wrong, None),
        lambda: rbd.MirrorImageInfoIterator(rbd_ioctx, wrong),
    ):
        with pytest.raises(TypeError):
            method()
