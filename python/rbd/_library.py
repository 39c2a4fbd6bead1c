"""What librbd was loaded. Apart from the rest: a named tuple takes long to make."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class LibraryInfo(NamedTuple):
    """What librbd was loaded."""

    path: str
    version: Tuple[int, int, int]
    missing: Tuple[str, ...]
    rados_path: str
