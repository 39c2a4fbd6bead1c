"""Statistics of a cluster and of a pool."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from rbd import rados


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_statistics_of_the_cluster_are_returned(cluster: rados.Rados) -> None:
    found = cluster.get_cluster_stats()
    assert set(found) == {"kb", "kb_used", "kb_avail", "num_objects"}
    assert found["kb"] >= found["kb_used"]


def test_statistics_of_a_pool_are_returned(cluster: rados.Rados, rbd_cluster: Any) -> None:
    with cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        found = ioctx.get_stats()
        assert found["num_objects"] >= 0
        assert {"num_bytes", "num_kb", "num_rd", "num_wr"} <= set(found)
    with pytest.raises(rados.IoctxStateError):
        ioctx.get_stats()
