"""Connections, awaitable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Mapping, Optional, SupportsIndex, Union

import rbd

from ..rados import Ioctx, Rados
from ._methods import RadosMethods
from ._twins import Closing, Opening, call
from .ioctx import AsyncIoctx

if TYPE_CHECKING:
    from ..types import Text

__all__ = ["AsyncRados", "connect"]


class AsyncRados(Closing, RadosMethods):
    """A connection whose calls are awaited, as `rbd.aio.connect` returns it.

    Parameters
    ----------
    rados
        A connection, which is shut down with this one.
    """

    __slots__ = ()

    def __init__(self, rados: Rados) -> None:
        if not isinstance(rados, Rados):
            raise TypeError(f"rados must be an rbd.rados.Rados, not {type(rados).__name__}")
        super().__init__(rados)

    @property
    def rados(self) -> Rados:
        """The connection itself, whose calls block the loop."""
        rados: Rados = self._sync
        return rados

    def __repr__(self) -> str:
        return f"<rbd.aio.AsyncRados of {self._sync!r}>"

    def open_ioctx(self, ioctx_name: Text) -> Opening[AsyncIoctx]:
        """Open an I/O context of a pool. Await the result, or use it in `async with`.

        Parameters
        ----------
        ioctx_name
            The name of the pool.

        Returns
        -------
        An awaitable of `AsyncIoctx`, and an asynchronous context manager, which closes it.

        Raises
        ------
        ObjectNotFound
            There is no such pool.

        Examples
        --------
        >>> async with cluster.open_ioctx("rbd") as pool:
        ...     await pool.write_full("letter", b"Dear reader")
        11

        Implements: rados_ioctx_create
        """
        return _opening(lambda: self.rados.open_ioctx(ioctx_name))

    def open_ioctx2(self, pool_id: SupportsIndex) -> Opening[AsyncIoctx]:
        """Open an I/O context of a pool by the pool's id.

        Parameters
        ----------
        pool_id
            The id of the pool.

        Returns
        -------
        An awaitable of `AsyncIoctx`, and an asynchronous context manager, which closes it.

        Raises
        ------
        ObjectNotFound
            There is no such pool.

        Implements: rados_ioctx_create2
        """
        return _opening(lambda: self.rados.open_ioctx2(pool_id))

    async def _leave(self) -> None:
        await self.shutdown()


def _opening(open_it: Callable[[], Ioctx]) -> Opening[AsyncIoctx]:
    async def start() -> AsyncIoctx:
        return AsyncIoctx(await call(open_it, (), {}, {}))

    return Opening(start)


def connect(
    conffile: Union[str, os.PathLike[str], None] = None,
    *,
    name: Optional[str] = None,
    conf: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
) -> Opening[AsyncRados]:
    """Connect to a cluster. Await the result, or use it in `async with`.

    Parameters
    ----------
    conffile
        The path of the configuration file; None searches for one as librados does, `CEPH_CONF`
        included.
    name
        The full name of the client; None means 'client.admin'.
    conf
        Options that override those of the file.
    timeout
        The number of seconds to wait for the cluster; None leaves that to the configuration.

    Returns
    -------
    An awaitable of `AsyncRados`, and an asynchronous context manager, which shuts it down.

    Raises
    ------
    rados.ObjectNotFound
        There is no such configuration file, or it names no monitor.
    rados.PermissionDeniedError
        The cluster does not accept the client's key.
    rados.TimedOut
        No monitor has answered in time.

    Notes
    -----
    If the task is cancelled, the connection is shut down once librados has made it.

    Examples
    --------
    >>> async with rbd.aio.connect() as connection:
    ...     "rbd" in await connection.list_pools()
    True
    """

    async def start() -> AsyncRados:
        options = {"name": name, "conf": conf, "timeout": timeout}
        return AsyncRados(await call(rbd.connect, (conffile,), options, {}))

    return Opening(start)
