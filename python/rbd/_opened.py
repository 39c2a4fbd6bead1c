"""How an image was opened. A separate module, because a named tuple takes long to make."""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from ._core import Image


class Opened(NamedTuple):
    """How an image was opened, and the snapshot that its handle is set to."""

    #: Empty if the ioctx that the image was opened with is closed.
    pool: str
    namespace: str
    #: None if the image was opened by its id.
    name: Optional[str]
    #: None for an image of the old format, which has no id.
    image_id: Optional[str]
    #: The snapshot that the handle is set to: its name, or its id if users cannot name it.
    snapshot: Union[str, int, None]
    read_only: bool
    #: The client's full name and its configuration file, if the connection knows them.
    client: Optional[str]
    conffile: Optional[str]

    @classmethod
    def of(cls, image: Image) -> Opened:
        """Return how an open image was opened. Raises InvalidArgument if it is closed."""
        return cls(*image._opened())

    @property
    def writable(self) -> bool:
        """Whether writes through the handle are possible."""
        return not self.read_only and self.snapshot is None
