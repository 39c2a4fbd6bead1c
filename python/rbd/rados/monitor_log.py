"""The stock module's older way to listen to the cluster's log."""

from __future__ import annotations

from typing import Any, Callable

from ._bound import Rados


class MonitorLog:
    """Listens to the cluster's log from its making on; Rados.monitor_log does the same.

    It need not be kept: the cluster's connection keeps the listener.

    Parameters
    ----------
    cluster : Rados
        A connected client.
    level, callback, arg
        As of Rados.monitor_log.
    """

    def __init__(
        self, cluster: Rados, level: str, callback: Callable[..., object], arg: Any
    ) -> None:
        if not isinstance(cluster, Rados):
            raise TypeError(f"cluster must be an rbd.rados.Rados, not {type(cluster).__name__}")
        self.level = level
        self.callback = callback
        self.arg = arg
        self.cluster = cluster
        cluster.monitor_log(level, callback, arg)
