"""Groups of images, awaitable."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type, Union

from .. import _core
from ._methods import GroupMethods
from ._twins import unwrap

if TYPE_CHECKING:
    from ..types import AnyIoctx, Text
    from .ioctx import AsyncIoctx

__all__ = ["Group"]


class Group(GroupMethods):
    """A group of images whose calls are awaited: the methods of `rbd.Group`.

    Parameters
    ----------
    ioctx
        The pool of the group: an `AsyncIoctx`, or any other I/O context.
    name
        The name of the group. The constructor does not ask the cluster for it.
    """

    __slots__ = ()

    def __init__(self, ioctx: Union[AnyIoctx, AsyncIoctx], name: Text) -> None:
        super().__init__(_core.Group(unwrap(ioctx), name))

    @property
    def name(self) -> str:
        """The group's name."""
        name: str = self._sync.name
        return name

    def __repr__(self) -> str:
        return f"<rbd.aio.Group of {self._sync!r}>"

    async def __aenter__(self) -> Group:
        return self

    async def __aexit__(
        self,
        type_: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...
