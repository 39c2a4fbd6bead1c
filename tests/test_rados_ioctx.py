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


def test_a_context_describes_its_pool(cluster: rados.Rados, rbd_cluster: Any) -> None:
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


def test_a_missing_pool_is_an_error(cluster: rados.Rados) -> None:
    with pytest.raises(rados.ObjectNotFound, match="no such pool") as caught:
        cluster.open_ioctx("no such pool")
    assert caught.value.errno == 2
    with pytest.raises(rados.ObjectNotFound):
        cluster.open_ioctx2(10**6)


def test_names_of_a_context_are_set_and_read(cluster: rados.Rados, rbd_cluster: Any) -> None:
    pool = rbd_cluster.pools[0]
    number = cluster.pool_lookup(pool)
    with rados.Ioctx(cluster, pool) as ioctx, cluster.open_ioctx2(number) as other:
        assert (ioctx.name, other.name) == (pool, str(number))
        assert (ioctx.nspace, ioctx.locator_key) == ("", "")
        ioctx.nspace = "ns"
        ioctx.set_locator_key("key")
        assert ioctx.get_namespace() == "ns"
        assert ioctx.locator_key == ioctx.get_locator_key() == "key"
        assert ioctx.lock is ioctx.lock
        with ioctx.lock:
            pass
        again = ioctx.dup()
        assert (again.name, again.nspace, again.locator_key) == (str(number), "ns", "key")
        again.set_namespace(None)
        assert (again.nspace, ioctx.nspace) == ("", "ns")
        again.close()
        ioctx.set_locator_key("")
        assert ioctx.get_locator_key() == ""
        with pytest.raises(TypeError):
            ioctx.set_locator_key(None)  # type: ignore[arg-type]


def test_facts_about_the_pool_are_returned(cluster: rados.Rados, rbd_cluster: Any) -> None:
    with cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        assert ioctx.alignment() is None
        assert ioctx.get_last_version() == 0
        ioctx.set_osdmap_full_try()
        ioctx.unset_osdmap_full_try()


def test_a_context_is_refused_after_shutdown(rbd_cluster: Any) -> None:
    client = rbd_cluster.connect()
    ioctx = client.open_ioctx(rbd_cluster.pools[0])
    client.shutdown()
    with pytest.raises(
        rados.RadosStateError, match=r"connection of pool .* is shut down"
    ) as caught:
        ioctx.get_stats()
    assert isinstance(caught.value, rados.IoctxStateError)
    assert caught.value.errno is None
    ioctx.close()
