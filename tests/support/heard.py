"""A callback that records its calls."""

from __future__ import annotations

import threading
from typing import Any, List, Tuple


class Heard:
    """Records the arguments and threads of its calls. Returns `answer`, or raises it."""

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
