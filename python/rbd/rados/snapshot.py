"""A snapshot of a pool, under the stock module's name."""

from __future__ import annotations

# Importing typing and datetime takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ._bound import Ioctx


class Snap:
    """A snapshot of a pool.

    Parameters
    ----------
    ioctx
        The context that found it.
    name
        The name of the snapshot.
    snap_id
        The id of the snapshot.
    """

    ioctx: Ioctx
    name: str
    snap_id: int

    def __init__(self, ioctx: Ioctx, name: str, snap_id: int) -> None:
        self.ioctx = ioctx
        self.name = name
        self.snap_id = snap_id

    def __str__(self) -> str:
        return f"rados.Snap(ioctx={self.ioctx},name={self.name},snap_id={self.snap_id})"

    def get_timestamp(self) -> datetime:
        """Return when the snapshot was taken, in local time.

        Raises
        ------
        ObjectNotFound
            There is no such snapshot.
        """
        from datetime import datetime  # takes a while

        return datetime.fromtimestamp(self.ioctx._snap_time(self.snap_id))
