"""The calls on the images of a pool, awaitable."""

from __future__ import annotations

from .. import _core
from ._methods import RBDMethods

__all__ = ["RBD"]


class RBD(RBDMethods):
    """The calls on a pool, awaited: the methods of `rbd.RBD`.

    Examples
    --------
    >>> await rbd.aio.RBD().create(ioctx, "vm1", 1 << 30)
    >>> await rbd.aio.RBD().list(ioctx)
    ['disk1', 'vm1']
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_core.RBD())
