"""The version of librados, under the stock module's name."""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    """A version of librados. `str()` returns "major.minor.extra"."""

    major: int
    minor: int
    extra: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.extra}"
