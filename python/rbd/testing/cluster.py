"""A Ceph cluster as a test sees it: how to reach it, with a library or a tool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import programs

if TYPE_CHECKING:
    from rbd.rados import Rados


class Cluster:
    """A cluster that runs already.

    Parameters
    ----------
    conffile
        The path of its configuration file.
    pools
        The names of the pools to use.
    """

    _pools: list[str]

    def __init__(self, conffile: str | os.PathLike[str], pools: Sequence[str] = ("rbd",)) -> None:
        if isinstance(pools, str):
            raise TypeError("pools must be a sequence of names, not one string")
        self._conffile = os.path.abspath(conffile)
        self._pools = list(pools)

    @property
    def conffile(self) -> str:
        """The path of the configuration file, as CEPH_CONF takes it."""
        return self._conffile

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the pools for images."""
        return tuple(self._pools)

    @property
    def env(self) -> dict[str, str]:
        """A copy of this process's environment in which Ceph's programs find this cluster."""
        unwanted = ("CEPH_ARGS", "CEPH_KEYRING")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        environment["CEPH_CONF"] = self._conffile
        return environment

    def connect(self, **arguments: Any) -> Rados:
        """Connect to the cluster.

        Parameters
        ----------
        **arguments
            Those of `rbd.connect`, except `conffile`.

        Returns
        -------
        A new connection.
        """
        import rbd

        return rbd.connect(conffile=self._conffile, **arguments)

    def command(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run the ``ceph`` tool.

        Parameters
        ----------
        *arguments
            The arguments of the tool.
        timeout
            The number of seconds that it may take.

        Returns
        -------
        What the tool prints.

        Raises
        ------
        CommandError
            The tool has failed.
        ClusterTimeout
            The tool takes longer.
        """
        return programs.run("ceph", arguments, self._conffile, timeout)

    def rbd(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run the ``rbd`` tool.

        Parameters
        ----------
        *arguments
            The arguments of the tool.
        timeout
            The number of seconds that it may take.

        Returns
        -------
        What the tool prints.

        Raises
        ------
        CommandError
            The tool has failed.
        ClusterTimeout
            The tool takes longer.
        """
        return programs.run("rbd", arguments, self._conffile, timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._conffile}>"
