"""A real Ceph cluster on this machine, for tests. It starts and stops within seconds.

    with rbd.testing.LocalCluster() as cluster, cluster.connect() as rados:
        ...

``python -m rbd.testing -- CMD`` runs a command with such a cluster. The pytest plugin
``rbd.testing.plugin`` provides the fixtures rbd_cluster, rbd_ioctx and rbd_image.
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
