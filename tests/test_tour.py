"""The tour that is made under sanitizers, without them."""

from __future__ import annotations

import tour
from rbd.testing import LocalCluster


def test_tour() -> None:
    with LocalCluster() as cluster:
        tour.rounds(cluster.conffile, 1)
