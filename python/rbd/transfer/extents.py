"""Which parts of an image a transfer looks at, found window by window."""

from __future__ import annotations

import threading
from queue import Queue
from typing import Iterator, List, Optional, Tuple, Union

from .._core import Image

# How much of the image one diff covers, in bytes: its extents are few enough to keep, and while
# they are read the next diff is made.
WINDOW = 4 << 30

ExtentTuple = Tuple[int, int, bool]


def _window(
    image: Image, start: int, end: int, from_snapshot: Optional[str], whole_object: bool
) -> List[ExtentTuple]:
    found: List[ExtentTuple] = []
    image.diff_iterate(
        start,
        end - start,
        from_snapshot,
        lambda offset, length, exists: found.append((offset, length, bool(exists))),
        True,
        whole_object,
    )
    return found


def changed(
    image: Image, size: int, from_snapshot: Optional[str] = None, whole_object: bool = False
) -> Iterator[ExtentTuple]:
    """The (offset, length, exists) extents of the first `size` bytes that changed since a snapshot.

    The diff of a window is made while the one before is in use. Memory is bounded by the windows.
    """
    starts = range(0, size, WINDOW)
    if len(starts) <= 1:
        for _ in starts:
            yield from _window(image, 0, size, from_snapshot, whole_object)
        return
    ready: Queue[Union[List[ExtentTuple], BaseException, None]] = Queue(maxsize=1)
    stopped = threading.Event()

    def work() -> None:
        try:
            for start in starts:
                if stopped.is_set():
                    return
                end = min(start + WINDOW, size)
                ready.put(_window(image, start, end, from_snapshot, whole_object))
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=work, name="rbd-diff", daemon=True)
    thread.start()
    try:
        while True:
            found = ready.get()
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield from found
    finally:
        stopped.set()
        while thread.is_alive():
            # A put() may be waiting for room.
            if not ready.empty():
                ready.get()
            thread.join(0.01)


def with_holes(extents: Iterator[ExtentTuple], size: int) -> Iterator[ExtentTuple]:
    """Sorted extents, and between them what they leave out, as extents that do not exist."""
    position = 0
    for offset, length, exists in extents:
        # With whole objects the last one may reach over the end.
        end = min(offset + length, size)
        if offset > position:
            yield position, offset - position, False
        start = max(offset, position)
        if end > start:
            yield start, end - start, exists
        position = max(position, end)
    if position < size:
        yield position, size - position, False
