"""A real Ceph cluster on this machine, started and stopped in a moment, for tests.

    with rbd.testing.LocalCluster() as cluster, cluster.connect() as rados:
        ...

``python -m rbd.testing -- CMD`` runs a command with such a cluster, and the pytest plugin
``rbd.testing.plugin`` brings the fixtures rbd_cluster, rbd_ioctx and rbd_image.
"""

from __future__ import annotations

from .cluster import Cluster
from .errors import ClusterError, ClusterTimeout, CommandError, DaemonDied, MissingDaemon
from .local import LocalCluster

__all__ = [
    "Cluster",
    "ClusterError",
    "ClusterTimeout",
    "CommandError",
    "DaemonDied",
    "LocalCluster",
    "MissingDaemon",
]
