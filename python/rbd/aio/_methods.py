"""The methods of `rbd`'s classes, awaitable.

The module makes them at run time. Its stub _methods.pyi describes them to type checkers;
tools/aio_stubs.py writes the stub from the stubs of the extension.
"""

from __future__ import annotations

from .. import _core
from ..rados import Rados
from ._twins import Twin, derive


class ImageMethods(Twin):
    """The methods of `rbd.Image` that have no asynchronous form in librbd."""

    __slots__ = ()


class RBDMethods(Twin):
    """The methods of `rbd.RBD`."""

    __slots__ = ()


class GroupMethods(Twin):
    """The methods of `rbd.Group`."""

    __slots__ = ()


class RadosMethods(Twin):
    """The methods of `rbd.rados.Rados` that ask the cluster, except those that open a pool."""

    __slots__ = ()


#: The names of RadosMethods.
RADOS = (
    "blocklist_add",
    "conf_get",
    "conf_set",
    "create_pool",
    "delete_pool",
    "get_addrs",
    "get_cluster_stats",
    "get_fsid",
    "get_inconsistent_pgs",
    "get_instance_id",
    "list_pools",
    "mon_command",
    "ping_monitor",
    "pool_exists",
    "pool_lookup",
    "pool_reverse_lookup",
    "shutdown",
    "wait_for_latest_osdmap",
)
#: Methods of Image that rbd.aio.AsyncImage defines itself, and methods without I/O.
IMAGE_LEFT_OUT = (
    "close",
    "compare_and_write",
    "discard",
    "flush",
    "on_quiesce",
    "on_update",
    "poll_io_events",
    "read",
    "read_blocks",
    "readinto",
    "readv",
    "require_not_closed",
    "set_image_notification",
    "write",
    "write_blocks",
    "write_same",
    "write_zeroes",
    "writev",
)

derive(ImageMethods, _core.Image, [n for n in vars(_core.Image) if n not in IMAGE_LEFT_OUT])
derive(RBDMethods, _core.RBD)
derive(GroupMethods, _core.Group)
derive(RadosMethods, Rados, RADOS)
