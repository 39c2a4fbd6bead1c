"""How an image was opened."""

from __future__ import annotations

import time

from ._core import Image

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Union


class Opened:
    """How an image was opened, and the snapshot that its handle is set to."""

    __slots__ = (
        "client",
        "conffile",
        "image_id",
        "name",
        "namespace",
        "pool",
        "read_only",
        "snapshot",
    )

    def __init__(
        self,
        pool: str,
        namespace: str,
        name: Optional[str],
        image_id: Optional[str],
        snapshot: Union[str, int, None],
        read_only: bool,
        client: Optional[str],
        conffile: Optional[str],
    ) -> None:
        #: Empty if the ioctx that the image was opened with is closed.
        self.pool = pool
        self.namespace = namespace
        #: None if the image was opened by its id.
        self.name = name
        #: None for an image of the old format, which has no id.
        self.image_id = image_id
        #: The snapshot that the handle is set to: its name, or its id if users cannot name it.
        self.snapshot = snapshot
        self.read_only = read_only
        #: The client's full name and its configuration file, if the connection knows them.
        self.client = client
        self.conffile = conffile

    @classmethod
    def of(cls, image: Image) -> Opened:
        """Return how an open image was opened. Raises InvalidArgument if it is closed."""
        return cls(*image._opened())

    @property
    def writable(self) -> bool:
        """Whether writes through the handle are possible."""
        return not self.read_only and self.snapshot is None


class SnapshotCheck:
    """Checks that the snapshot at which an image is open still exists.

    One that another client has removed may read as zeroes. At the head, and without an image, there
    is nothing to check.
    """

    __slots__ = ("_check", "_due", "_image", "_next")

    def __init__(self, image: Optional[Image]) -> None:
        self._image = image
        self._check: Optional[Callable[[], object]] = None
        if image is not None and Opened.of(image).snapshot is not None:
            self._check = image._presence()
        # Whether something was read since the last check, and when the next read checks again.
        self._due = False
        self._next = 0.0

    def now(self) -> None:
        """Raise ImageNotFound if the snapshot was removed."""
        if self._check is not None:
            # An exception is raised once, and not again by a close.
            self._due = False
            self._check()
            self._next = time.monotonic() + 1

    def after_read(self) -> None:
        """Check after a read, at most once a second."""
        if self._check is not None:
            self._due = True
            if time.monotonic() >= self._next:
                self.now()

    def at_end(self) -> None:
        """Check after the last read."""
        if self._due and self._image is not None and not self._image.closed:
            self.now()
