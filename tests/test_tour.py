"""The tour that runs under sanitizers, without them."""

from __future__ import annotations

from rbd.testing import LocalCluster
from support import tour


def test_the_tour_runs() -> None:
    with LocalCluster() as cluster:
        tour.rounds(cluster.conffile, 1)
