"""The pools of a cluster."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from rbd import rados


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_pools_are_created_listed_and_removed(cluster: rados.Rados) -> None:
    cluster.create_pool("extra pool")
    try:
        assert "extra pool" in cluster.list_pools()
        assert cluster.pool_exists("extra pool") is True
        number = cluster.pool_lookup("extra pool")
        assert number is not None
        assert cluster.pool_reverse_lookup(number) == "extra pool"
        with pytest.raises(rados.ObjectExists):
            cluster.create_pool("extra pool")
        assert cluster.get_pool_base_tier(number) == number
        with cluster.open_ioctx2(number) as ioctx:
            assert ioctx.get_pool_name() == "extra pool"
    finally:
        cluster.delete_pool("extra pool")
    assert cluster.pool_exists("extra pool") is False
    assert cluster.pool_lookup("extra pool") is None
    assert cluster.pool_reverse_lookup(10**6) is None


# Ceph only accepts the number that means no owner.
NOBODY = rados.ANONYMOUS_AUID


@pytest.mark.parametrize(
    "arguments", [{"crush_rule": 0}, {"auid": NOBODY}, {"crush_rule": 0, "auid": NOBODY}]
)
def test_create_pool_takes_options(cluster: rados.Rados, arguments: Any) -> None:
    cluster.create_pool("ruled pool", **arguments)
    try:
        assert cluster.pool_exists("ruled pool")
    finally:
        cluster.delete_pool("ruled pool")


def test_invalid_pools_are_refused(cluster: rados.Rados) -> None:
    with pytest.raises(rados.InvalidArgumentError, match="'owned'"):
        cluster.create_pool("owned", auid=0)
    with pytest.raises(rados.ObjectNotFound, match="pool 1000000"):
        cluster.get_pool_base_tier(10**6)
    with pytest.raises(rados.ObjectNotFound, match="'no such pool'"):
        cluster.delete_pool("no such pool")
    for wrong in (256, -1):
        with pytest.raises(OverflowError):
            cluster.create_pool("x", crush_rule=wrong)
    with pytest.raises(OverflowError):
        cluster.pool_reverse_lookup(2**63)
    with pytest.raises(ValueError, match="NUL"):
        cluster.create_pool("a\0b")
    with pytest.raises(TypeError):
        cluster.pool_lookup(3)  # type: ignore[arg-type]
