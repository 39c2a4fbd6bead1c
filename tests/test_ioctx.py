"""I/O contexts under the stock module's names."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

import rbd
from rbd import rados


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_ioctx(cluster: rados.Rados, rbd_cluster: Any) -> None:
    ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
    assert ioctx.state == "open"
    assert ioctx.get_pool_name() == rbd_cluster.pools[0]
    assert ioctx.get_pool_id() == cluster.pool_lookup(rbd_cluster.pools[0])
    assert ioctx.get_namespace() == ""
    ioctx.set_namespace("ns")
    assert ioctx.get_namespace() == "ns"
    assert ioctx.get_stats()["num_objects"] >= 0
    ioctx.close()
    ioctx.close()
    assert ioctx.state == "closed"
    for call in (ioctx.get_namespace, ioctx.require_ioctx_open, lambda: rbd.RBD().list(ioctx)):
        with pytest.raises(rados.IoctxStateError) as caught:
            call()
        assert isinstance(caught.value, rbd.InvalidArgument)
        assert caught.value.errno is None
        assert str(caught.value).count("RADOS") == 1


def test_missing_pool(cluster: rados.Rados) -> None:
    with pytest.raises(rados.ObjectNotFound, match="no such pool") as caught:
        cluster.open_ioctx("no such pool")
    assert caught.value.errno == 2
    with pytest.raises(rados.ObjectNotFound):
        cluster.open_ioctx2(10**6)


def test_applications(cluster: rados.Rados) -> None:
    cluster.create_pool("tagged pool")
    try:
        with cluster.open_ioctx("tagged pool") as ioctx:
            assert ioctx.application_list() == []
            ioctx.application_enable("rbd")
            assert ioctx.application_list() == ["rbd"]
            ioctx.application_metadata_set("rbd", "key", "value")
            ioctx.application_metadata_set("rbd", "other", "")
            assert ioctx.application_metadata_get("rbd", "key") == "value"
            assert sorted(ioctx.application_metadata_list("rbd")) == [
                ("key", "value"),
                ("other", ""),
            ]
            ioctx.application_metadata_remove("rbd", "key")
            assert ioctx.application_metadata_list("rbd") == [("other", "")]
            with pytest.raises(rados.ObjectNotFound):
                ioctx.application_metadata_get("rbd", "key")
    finally:
        cluster.delete_pool("tagged pool")
