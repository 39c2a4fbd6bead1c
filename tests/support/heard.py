"""A callback that notes its calls."""

from __future__ import annotations

import threading
from typing import Any, List, Tuple


class Heard:
    """What a callback was called with, and in which threads; answers `answer`, or raises it."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls: List[Tuple[Any, ...]] = []
        self.threads: List[str] = []

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        self.threads.append(threading.current_thread().name)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer
