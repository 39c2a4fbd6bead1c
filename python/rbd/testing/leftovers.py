"""Removes what a test leaves in a pool."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rbd


# The time after which a cluster takes a silent client for dead, with a margin, in seconds.
_WATCH_SECONDS = 40


def _images(ioctx: rbd.rados.Ioctx) -> dict[str, str]:
    """Return the names of the images, by their ids."""
    import rbd

    return {image["id"]: image["name"] for image in rbd.RBD().list2(ioctx)}


def _remove(ioctx: rbd.rados.Ioctx, name: str) -> bool:
    """Remove an image and its snapshots. Return whether that succeeded."""
    import rbd

    try:
        # An image whose removal was interrupted can be removed, but not opened.
        with contextlib.suppress(rbd.ImageNotFound), rbd.Image(ioctx, name) as image:
            for snapshot in image.list_snaps():
                with contextlib.suppress(rbd.Error):
                    if image.is_protected_snap(snapshot["name"]):
                        image.unprotect_snap(snapshot["name"])
                    image.remove_snap(snapshot["name"])
        rbd.RBD().remove(ioctx, name)
    except rbd.Error:
        return False
    return True


@contextlib.contextmanager
def remove_images(ioctx: rbd.rados.Ioctx) -> Iterator[list[str]]:
    """Remove the images that the body leaves. No others may be in the pool and namespace.

    Fills the list with the names of images that could not be removed, for example because a client
    still has them open.
    """
    import rbd

    before = _images(ioctx).keys()
    left: list[str] = []
    try:
        yield left
    finally:
        # Ceph 14 refuses to remove an image that a dead process had open. Later releases wait for
        # it.
        patience = 0 if rbd.supports("rbd_snap_create2") else _WATCH_SECONDS
        end = time.monotonic() + patience
        while True:
            names = [name for key, name in _images(ioctx).items() if key not in before]
            # A parent can be removed after its clones. As long as one image was removed, more may
            # follow.
            if len(names) == len([name for name in names if not _remove(ioctx, name)]):
                if not names or time.monotonic() > end:
                    break
                time.sleep(1)
        left += names
