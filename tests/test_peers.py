"""The peers of a mirrored pool, and the tokens that make them."""

from __future__ import annotations

import base64
import json
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

RX_TX = rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX
call = rbd.RBD()


@pytest.fixture
def pool(rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide the pool in the mode that mirrors single images."""
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    yield rbd_ioctx
    for peer in call.mirror_peer_list(rbd_ioctx):
        call.mirror_peer_remove(rbd_ioctx, peer["uuid"])
    call.mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


def test_a_bootstrap_token_describes_the_cluster(
    rbd_cluster: Cluster, pool: rbd.rados.Ioctx
) -> None:
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


def test_a_pool_without_mirroring_has_no_token(rbd_ioctx: rbd.rados.Ioctx) -> None:
    with pytest.raises(rbd.InvalidArgument):
        call.mirror_peer_bootstrap_create(rbd_ioctx)


def test_peers_are_added_changed_and_removed(pool: rbd.rados.Ioctx) -> None:
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
    # As in the stock module, removing a missing peer succeeds.
    call.mirror_peer_remove(pool, uuid)


@pytest.mark.needs("rbd_mirror_peer_site_set_direction")
def test_the_direction_of_a_peer_is_changed(pool: rbd.rados.Ioctx) -> None:
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


def test_the_attributes_of_a_peer_are_set(pool: rbd.rados.Ioctx) -> None:
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


def test_a_missing_peer_is_an_error(pool: rbd.rados.Ioctx) -> None:
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


CALLS: Calls = [
    ("mirror_peer_bootstrap_create", ()),
    ("mirror_peer_bootstrap_import", (RX_TX, "token")),
    ("mirror_peer_add", ("site", "client.x", RX_TX)),
    ("mirror_peer_remove", ("uuid",)),
    ("mirror_peer_list", ()),
    ("mirror_peer_get_attributes", ("uuid",)),
    ("mirror_peer_set_attributes", ("uuid", {})),
    ("mirror_peer_set_client", ("uuid", "client.x")),
    ("mirror_peer_set_name", ("uuid", "name")),
    ("mirror_peer_set_cluster", ("uuid", "name")),
    pytest.param(
        "mirror_peer_set_direction",
        ("uuid", RX_TX),
        marks=pytest.mark.needs("rbd_mirror_peer_site_set_direction"),
    ),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_or_foreign_ioctx_is_refused(
    rbd_cluster: Cluster, method: str, arguments: Any
) -> None:
    refuses_other_than_an_open_ioctx(rbd_cluster, method, arguments)


@pytest.mark.parametrize(("method", "arguments"), with_arguments(CALLS))
def test_each_wrong_argument_is_refused(
    rbd_ioctx: rbd.rados.Ioctx, method: str, arguments: Any
) -> None:
    refuses_wrong_types(call, method, arguments, rbd_ioctx)


def test_wrong_types_are_refused(rbd_ioctx: rbd.rados.Ioctx) -> None:
    wrong: Any = object()
    for method in (
        lambda: call.mirror_peer_set_attributes(rbd_ioctx, "uuid", {"key": 3}),
        lambda: rbd.MirrorPeerIterator(wrong),
    ):
        with pytest.raises(TypeError):
            method()
