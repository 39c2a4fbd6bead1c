"""RADOS connections, I/O contexts and objects: a drop-in superset of the stock `rados` module.

`Rados` and `Ioctx` are context managers. An image or a context owns a share of its connection: the
connection ends when the last of them is closed, in any order. Every exception of this module
derives from `rbd.Error`.
"""

# _bound has the classes of the extension; each other file of the package is a topic.

from __future__ import annotations

from . import _bound, exceptions
from ._bound import *  # noqa: F403
from .encoding import cstr, cstr_list, decode_cstr, flatten_dict
from .exceptions import *  # noqa: F403
from .exceptions import _errno_to_exception as _errno_to_exception
from .monitor_log import MonitorLog
from .object import Object, set_object_locator, set_object_namespace
from .operation import OpCtx, ReadOpCtx, WriteOpCtx
from .snapshot import Snap

# Importing typing takes long: see rbd/__init__.py. A named tuple imports it too.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .version import Version as Version

#: The numbers of "no owner" and of the administrator of a pool. RADOS ignores them now.
ANONYMOUS_AUID = 0xFFFFFFFFFFFFFFFF
ADMIN_AUID = 0
#: The levels of a monitor's log, the lowest first.
MONITOR_LEVELS = ["debug", "info", "warn", "warning", "err", "error", "sec"]

__all__ = [
    "ADMIN_AUID",
    "ANONYMOUS_AUID",
    "MONITOR_LEVELS",
    "MonitorLog",
    "Object",
    "OpCtx",
    "ReadOpCtx",
    "Snap",
    "Version",
    "WriteOpCtx",
    "cstr",
    "cstr_list",
    "decode_cstr",
    "flatten_dict",
    "set_object_locator",
    "set_object_namespace",
]
__all__ += _bound.__all__
__all__ += exceptions.__all__


# Type checkers must not see it: they would accept any name in the module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "Version":
            from .version import Version

            return globals().setdefault(name, Version)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
