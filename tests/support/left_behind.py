"""What dead clients leave behind: watches, and exclusive locks as after an outage."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import rbd
import rbd.rados

# No handle has such an address.
COOKIE = "auto 94000000000000"


def _text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def leave_behind(ioctx: rbd.rados.Ioctx, name: str) -> str:
    """Put a lock of this connection on a closed image. Return the object that has the lock."""
    with rbd.Image(ioctx, name, read_only=True) as image:
        header = f"rbd_header.{image.id()}"
    lock_header(ioctx, header)
    return header


def lock_header(ioctx: rbd.rados.Ioctx, header: str, cookie: str = COOKIE) -> None:
    """Put a lock of this connection on the header object of an image."""
    exclusive, no_flags = b"\1", b"\0"
    request = _text("rbd_lock") + exclusive + _text(cookie) + _text("internal") + _text("")
    request += struct.pack("<II", 0, 0) + no_flags
    ioctx.execute(header, "lock", "lock", struct.pack("<BBI", 1, 1, len(request)) + request)


def is_there(ioctx: rbd.rados.Ioctx, header: str, cookie: str = COOKIE) -> bool:
    """Return whether the lock still exists, and release it."""
    try:
        ioctx.unlock(header, "rbd_lock", cookie)
    except rbd.rados.ObjectNotFound:
        return False
    return True


def forget_the_killed(cluster: Any, ioctx: Any, name: str) -> None:
    """Wait half a minute, for which librbd takes a killed process for a slow one."""
    with contextlib.suppress(rbd.ImageNotFound), rbd.Image(ioctx, name, read_only=True) as image:
        for watcher in image.watchers_list():
            cluster.blocklist_add(watcher["addr"], 600)
