"""The loaded librbd. A separate module, because a named tuple takes long to make."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class LibraryInfo(NamedTuple):
    """Path, version and missing functions of the loaded librbd."""

    path: str
    version: Tuple[int, int, int]
    missing: Tuple[str, ...]
    rados_path: str
