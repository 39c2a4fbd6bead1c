"""The stock module's older class for the cluster's log."""

from __future__ import annotations

from ._bound import Rados

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class MonitorLog:
    """Call a function for each entry of the cluster's log, as `Rados.monitor_log` does.

    The object need not be kept, because the connection keeps the callback.

    Parameters
    ----------
    cluster
        A connected client.
    level, callback, arg
        As in `Rados.monitor_log`.
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
