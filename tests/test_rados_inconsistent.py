"""Placement groups with different copies."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from rbd import rados
from rbd.testing import LocalCluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("ceph-mgr") is None, reason="there is no ceph-mgr"),
]


def test_inconsistent_placement_groups_are_listed() -> None:
    with LocalCluster(mgr=True) as local, local.connect() as cluster:
        number: Any = cluster.pool_lookup(local.pools[0])
        assert cluster.get_inconsistent_pgs(number) == []
        with pytest.raises(OverflowError):
            cluster.get_inconsistent_pgs(2**63)
    with pytest.raises(rados.RadosStateError):
        cluster.get_inconsistent_pgs(number)
