"""The module `rados`, with the contents of `rbd.rados`."""

from typing import Any

from rbd import rados as _rados
from rbd.rados import *  # noqa: F403

__all__ = list(_rados.__all__)


def __getattr__(name: str) -> Any:
    return getattr(_rados, name)
