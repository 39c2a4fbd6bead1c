"""Images by their address, with which another process can open them too.

This process keeps one connection for each client and configuration file. All images that are opened
by their address share it.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Union

from . import exceptions
from ._core import Image
from ._opened import Opened

if TYPE_CHECKING:
    from . import rados

__all__ = ["ImageSpec", "PoolNotFound", "SnapshotNotFound", "open_ioctx", "open_spec"]

_connections: Dict[Tuple[int, Optional[str], Optional[str]], rados.Rados] = {}
_connections_lock = threading.Lock()


def _after_fork() -> None:
    # The thread that held the lock does not exist in the child.
    global _connections_lock
    _connections_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class PoolNotFound(exceptions.ImageNotFound):
    """The pool of an image's address does not exist."""


class SnapshotNotFound(exceptions.ImageNotFound):
    """The image of an address does not have the address's snapshot."""


@dataclass(frozen=True)
class ImageSpec:
    """The address of an image: "pool[/namespace]/image[@snapshot]", and how to connect.

    It contains no keys: librados reads them from the keyring of the configuration.

    Parameters
    ----------
    pool
        The name of the pool.
    image
        The name of the image; None if `image_id` names it.
    namespace
        The namespace of the pool; "" means the default one.
    snapshot
        The name of a snapshot of the image; None means the head.
    conffile
        The path of the configuration file; None searches for one as librados does.
    client
        The full name of the client; None means "client.admin".
    image_id
        The id of the image.
    """

    pool: str
    image: Optional[str]
    namespace: str = ""
    snapshot: Optional[str] = None
    conffile: Optional[str] = None
    client: Optional[str] = None
    image_id: Optional[str] = None

    @classmethod
    def parse(cls, text: str) -> ImageSpec:
        """Return the address that a text names.

        Parameters
        ----------
        text
            "pool[/namespace]/image[@snapshot]".

        Returns
        -------
        The address, with the configuration file that `CEPH_CONF` names.

        Raises
        ------
        ValueError
            The text does not have this form.

        Examples
        --------
        >>> spec = rbd.spec.ImageSpec.parse("rbd/disk1@monday")
        >>> spec.image, spec.snapshot
        ('disk1', 'monday')
        """
        if not isinstance(text, str):
            raise TypeError(f"an image's address must be str, not {type(text).__name__}")
        path, at, snapshot = text.partition("@")
        parts = path.split("/")
        if len(parts) not in (2, 3) or not all(parts) or (at and not snapshot) or "@" in snapshot:
            raise ValueError(
                "an image's address must look like pool[/namespace]/image[@snapshot], not "
                f"like {text!r}"
            )
        return cls(
            pool=parts[0],
            namespace=parts[1] if len(parts) == 3 else "",
            image=parts[-1],
            snapshot=snapshot or None,
            conffile=os.environ.get("CEPH_CONF") or None,
        )

    @classmethod
    def of(cls, image: Image, opened_as: Optional[ImageSpec] = None) -> ImageSpec:
        """Return the address of an open image.

        Parameters
        ----------
        image
            The image.
        opened_as
            The address that the image was opened by, if it was.

        Returns
        -------
        The address.

        Raises
        ------
        InvalidArgument
            The I/O context of the image is closed, so that its pool is not known; or the image is
            set to a snapshot that has no name.
        """
        opened = Opened.of(image)
        pool, space = opened.pool, opened.namespace
        if not pool and opened_as is not None:
            pool, space = opened_as.pool, opened_as.namespace
        if not pool:
            raise exceptions.InvalidArgument(
                f"error asking for the pool of {image}: the ioctx that it was opened with is closed"
            )
        if isinstance(opened.snapshot, int):
            raise exceptions.InvalidArgument(
                f"{image} is set to snapshot {opened.snapshot}, which has no name to open it by",
                errno=errno.EINVAL,
            )
        return cls(
            pool=pool,
            namespace=space,
            image=opened.name,
            snapshot=opened.snapshot,
            conffile=opened.conffile or os.environ.get("CEPH_CONF") or None,
            client=opened.client,
            # Another image may get the name. The id does not change.
            image_id=opened.image_id,
        )

    def __str__(self) -> str:
        parts = [self.pool, self.namespace, self.image or f"id {self.image_id}"]
        at = "" if self.snapshot is None else f"@{self.snapshot}"
        return "/".join(part for part in parts if part) + at

    def connect(self) -> rados.Rados:
        """Return this process's connection for the address. The first call makes it.

        Raises
        ------
        rados.ObjectNotFound
            There is no such configuration file, or it names no monitor.
        rados.PermissionDeniedError
            The cluster does not accept the client's key.
        rados.TimedOut
            No monitor has answered in time.
        """
        from . import connect

        # A connection that was made before fork() belongs to the parent process.
        key = (os.getpid(), self.conffile, self.client)
        with _connections_lock:
            cluster = _connections.get(key)
            if cluster is None or cluster.state != "connected":
                for old in [old for old in _connections if old[0] != key[0]]:
                    del _connections[old]
                cluster = connect(self.conffile, name=self.client)
                _connections[key] = cluster
            return cluster

    def without_snapshot(self) -> ImageSpec:
        """Return the address of the image's head."""
        return replace(self, snapshot=None)


def open_ioctx(spec: ImageSpec, cluster: Any = None) -> rados.Ioctx:
    """Open the pool and the namespace of an address.

    Parameters
    ----------
    spec
        The address.
    cluster
        A connected `rbd.rados.Rados`; None means the shared one.

    Returns
    -------
    The context.
    """
    from .rados import ObjectNotFound

    if cluster is None:
        cluster = spec.connect()
    try:
        ioctx: rados.Ioctx = cluster.open_ioctx(spec.pool)
    except ObjectNotFound:
        message = f"error opening {str(spec)!r}: there is no pool {spec.pool!r}"
        raise PoolNotFound(message, errno=errno.ENOENT) from None
    if spec.namespace:
        ioctx.set_namespace(spec.namespace)
    return ioctx


def open_spec(spec: Union[str, ImageSpec], *, read_only: bool = True, cluster: Any = None) -> Image:
    """Open the image of an address.

    Parameters
    ----------
    spec
        The address.
    read_only
        Open it only for reading.
    cluster
        A connected `rbd.rados.Rados`; None means the shared one.

    Returns
    -------
    The image.

    Raises
    ------
    ValueError
        The text is not an address.
    ImageNotFound
        There is no such image. `rbd.spec.PoolNotFound` and `rbd.spec.SnapshotNotFound`, which
        derive from it, mean that there is no such pool or snapshot.
    ReadOnlyImage
        The address names a snapshot, and `read_only` is false.
    """
    if isinstance(spec, str):
        spec = ImageSpec.parse(spec)
    if spec.snapshot is not None and not read_only:
        raise exceptions.ReadOnlyImage(f"{spec} is a snapshot", errno=errno.EROFS)
    ioctx = open_ioctx(spec, cluster)
    try:
        # The image keeps the ioctx, to open the image again and to report its pool.
        return _open(spec, ioctx, spec.snapshot, read_only)
    except exceptions.ImageNotFound:
        there = spec.snapshot is not None and _is_there(spec, ioctx)
    if there:
        message = f"error opening {str(spec)!r}: the image has no snapshot {spec.snapshot!r}"
        raise SnapshotNotFound(message, errno=errno.ENOENT)
    message = f"error opening {str(spec)!r}: there is no such image"
    raise exceptions.ImageNotFound(message, errno=errno.ENOENT)


def _open(spec: ImageSpec, ioctx: rados.Ioctx, snapshot: Optional[str], read_only: bool) -> Image:
    if spec.image_id is not None:
        return Image(ioctx, image_id=spec.image_id, snapshot=snapshot, read_only=read_only)
    assert spec.image is not None, "an address has a name or an id"
    return Image(ioctx, spec.image, snapshot=snapshot, read_only=read_only)


def _is_there(spec: ImageSpec, ioctx: rados.Ioctx) -> bool:
    try:
        _open(spec, ioctx, None, True).close()
    except exceptions.ImageNotFound:
        return False
    return True
