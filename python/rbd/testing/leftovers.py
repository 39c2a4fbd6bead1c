"""Removing what a test leaves in a pool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rbd


def _images(ioctx: rbd.rados.Ioctx) -> dict[str, str]:
    """Return the names of the images, by their id."""
    import rbd

    return {image["id"]: image["name"] for image in rbd.RBD().list2(ioctx)}


def _remove(ioctx: rbd.rados.Ioctx, name: str) -> bool:
    """Remove an image and its snapshots; tell whether that succeeded."""
    import rbd

    try:
        # An image whose removal was broken off can be removed, but not opened.
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
    """Remove the images that the body leaves, which must be alone in the pool and namespace.

    The list is filled with the names of those that could not be removed, because somebody still
    has them open, say.
    """
    before = _images(ioctx).keys()
    left: list[str] = []
    try:
        yield left
    finally:
        while True:
            names = [name for key, name in _images(ioctx).items() if key not in before]
            # A parent can go once its clones have, so as long as one goes, more may.
            if len(names) == len([name for name in names if not _remove(ioctx, name)]):
                break
        left += names
