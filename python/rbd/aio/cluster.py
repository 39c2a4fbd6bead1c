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
    rados : rbd.rados.Rados
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
        """Open a pool; to be awaited, or entered by `async with`. Raises ObjectNotFound.

        Implements: rados_ioctx_create
        """
        return _opening(lambda: self.rados.open_ioctx(ioctx_name))

    def open_ioctx2(self, pool_id: SupportsIndex) -> Opening[AsyncIoctx]:
        """Open a pool by its number; as open_ioctx.

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
    """Connect to a cluster; to be awaited, or entered by `async with`, which shuts it down.

    Parameters and errors are those of `rbd.connect`. Cancelled, it shuts down what connects all the
    same.
    """

    async def start() -> AsyncRados:
        options = {"name": name, "conf": conf, "timeout": timeout}
        return AsyncRados(await call(rbd.connect, (conffile,), options, {}))

    return Opening(start)
