"""The progress of a transfer: the caller's function, and a bar if tqdm is installed."""

from __future__ import annotations

import errno
import time
from types import TracebackType

from .. import exceptions
from .._core import _call_back

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Type

    ProgressFunction = Callable[[int, int], Optional[int]]

# The shortest time between two reports, in seconds.
_INTERVAL = 0.02


class Progress:
    """Report bytes done and the total (0 if it is not known); a context manager.

    If the function returns a negative number, the transfer ends with OperationCanceled. An
    exception of the function is raised.
    """

    def __init__(
        self,
        on_progress: Optional[ProgressFunction],
        bar: bool,
        total: int,
        description: str,
    ) -> None:
        if on_progress is not None and not callable(on_progress):
            raise TypeError("on_progress must be callable or None")
        self._function = on_progress
        self._bar: Any = None
        self._total = total
        self._last = 0.0
        self._done = -1
        self._draws = bar
        self._description = description

    @property
    def total(self) -> int:
        """The total in bytes; 0 if it is not known."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = total
        if self._bar is not None:
            self._bar.total = total or None

    def __enter__(self) -> Progress:
        if self._draws:
            self._draw()
        return self

    def _draw(self) -> None:
        try:
            from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            return
        self._bar = tqdm(
            total=self._total or None,
            desc=self._description,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
        )

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._bar is not None:
            try:
                self._bar.close()
            except Exception:
                # The body's exception says more than a failed close.
                if error is None:
                    raise

    def update(self, done: int, *, last: bool = False) -> None:
        """Report that `done` bytes are done. Only some of these reports reach the caller."""
        if self._function is None and self._bar is None:
            return
        now = time.monotonic()
        if done == self._done or (not last and now - self._last < _INTERVAL):
            return
        self._last = now
        self._done = done
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if self._function is not None:
            answer = _call_back(self._function, done, self._total)
            if answer is not None and not isinstance(answer, int):
                raise TypeError("on_progress must return an int or None")
            if answer is not None and answer < 0:
                raise exceptions.OperationCanceled(
                    f"the transfer was stopped after {done} bytes", errno=errno.ECANCELED
                )
