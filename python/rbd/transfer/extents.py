"""The parts of an image that a transfer reads, found window by window."""

from __future__ import annotations

import collections
import contextlib

from .. import _pipeline, exceptions
from .._core import Image, constants, supports

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Deque, Iterable, Iterator, List, Optional, Tuple, Union

    ExtentTuple = Tuple[int, int, bool]
    Found = Iterable[ExtentTuple]

# The bytes of the image that one diff covers. Its extents fit into memory, and the next diffs are
# made while they are read.
WINDOW = 1 << 30
# The same for a diff of the object maps. It reports whole objects, and reads its maps again each
# time.
MAP_WINDOW = 256 << 30
# The number of diffs that are made at once. One of few objects is mostly waiting.
_DIFFS = 4
# This many unchanged objects (or sets of striped objects) between two changed ones cost less to
# read than another diff.
_GAP_PERIODS = 4


def has_map(image: Image) -> bool:
    """Return whether object maps tell, quickly and reliably, which objects exist."""
    if not image._maps_tell():
        return False
    invalid = constants["RBD_FLAG_OBJECT_MAP_INVALID"] | constants["RBD_FLAG_FAST_DIFF_INVALID"]
    return bool(
        image.features() & constants["RBD_FEATURE_FAST_DIFF"] and not image.flags() & invalid
    )


def _knows_all(image: Image) -> bool:
    """Return whether an object that the object maps lack certainly has no data."""
    migrating = image.features() & constants["RBD_FEATURE_MIGRATING"]
    return has_map(image) and not migrating and image.overlap() == 0


class _Differ:
    """Finds the changes of an image since a snapshot, piece by piece.

    The object maps narrow the search to the objects that exist, or existed at the snapshot. They do
    not tell which of these have changed, because librbd does not mark what a rollback changes.
    """

    def __init__(
        self,
        image: Image,
        before: Optional[Image],
        from_snapshot: Optional[str],
        whole_object: bool,
        ordered: bool,
    ) -> None:
        self._image = image
        self._before = before
        self._from = from_snapshot
        # Since a snapshot, whole objects would not be found sooner, only be more to read.
        self._whole_object = whole_object and from_snapshot is None
        stripes = image.stripe_count()
        # In a striped image, librbd reports the extents object by object, for one set of objects
        # after the other.
        self._period = image.stat()["obj_size"] * stripes
        self._sorts = ordered and stripes > 1
        if from_snapshot is None:
            self._narrows = not whole_object and _knows_all(image)
        else:
            # The other handle's offsets are those of the stored data.
            self._narrows = (
                before is not None
                and not image._may_be_decrypted()
                and _knows_all(image)
                and _knows_all(before)
            )
        self._window = self._whole_periods(WINDOW)
        of_maps = self._narrows or (self._whole_object and has_map(image))
        self._outer = self._whole_periods(MAP_WINDOW) if of_maps else self._window

    def _whole_periods(self, length: int) -> int:
        return -(-length // self._period) * self._period

    def _find(self, start: int, end: int, since: Optional[str], **options: bool) -> Found:
        try:
            return self._image.diff(start, end - start, since, **options)
        except exceptions.InvalidArgument:
            size = self._image.size()
            if size > start:
                raise
            raise _pipeline.shrunk(self._image, end, size) from None

    def _objects(self, start: int, end: int) -> List[ExtentTuple]:
        """Return the extents of objects that exist, or existed at the snapshot, in order."""
        found = list(self._find(start, end, None, whole_object=True, merge=True))
        if self._before is not None and start < self._before.size():
            found += self._before.diff(start, end - start, whole_object=True, merge=True)
        return sorted(found)

    def find(self, start: int, end: int) -> Found:
        """Return the extents of a region."""
        found = self._find(start, end, self._from, whole_object=self._whole_object)
        return sorted(found) if self._sorts else found

    def regions(self, size: int) -> Iterator[Tuple[int, int]]:
        """Return the (start, end) regions of the first `size` bytes that are to be searched."""
        for start in range(0, size, self._outer):
            end = min(start + self._outer, size)
            if not self._narrows:
                yield start, end
                continue
            for first, last in _stretches(self._objects(start, end), start, end, self._period):
                for at in range(first, last, self._window):
                    yield at, min(at + self._window, last)


class Ends:
    """What a transfer reads, which must still be there at its end.

    These are the image's size, the snapshot at which it is open, and the snapshot `start`. A diff
    does not report what it no longer finds. Raises ImageNotFound if a snapshot does not exist.
    """

    def __init__(self, image: Image, size: int, start: Optional[str] = None) -> None:
        self._image = image
        self._size = size
        self._presence = image._presence(start)

    def check(self) -> None:
        """Raise StreamError if the image has shrunk, and ImageNotFound if a snapshot is gone."""
        size = self._presence()
        if size is not None and size < self._size:
            raise _pipeline.shrunk(self._image, self._size, size)


def _stretches(
    extents: Iterable[ExtentTuple], start: int, end: int, period: int
) -> Iterator[Tuple[int, int]]:
    """Join sorted extents and small gaps between them to (start, end) regions of periods."""
    first = last = -1
    for offset, length, _ in extents:
        begin = max(offset // period * period, start)
        stop = min(-(-(offset + length) // period) * period, end)
        if first >= 0 and begin <= last + _GAP_PERIODS * period:
            last = max(last, stop)
        elif begin < stop:
            if first >= 0:
                yield first, last
            first, last = begin, stop
    if first >= 0:
        yield first, last


def changed(
    image: Image,
    size: int,
    from_snapshot: Optional[str] = None,
    whole_object: bool = False,
    *,
    ordered: bool = False,
) -> Iterator[ExtentTuple]:
    """Return the (offset, length, exists) extents of the first `size` bytes that changed.

    from_snapshot: the snapshot since which they changed. ordered: sort by offset; librbd reports
    the extents of a striped image object by object. The diffs of the next windows are made while
    one is in use. The windows bound the memory.
    """
    with _at(image, from_snapshot if size > WINDOW else None) as before:
        differ = _Differ(image, before, from_snapshot, whole_object, ordered)
        found = _ahead if size > WINDOW else _in_turn
        yield from found(differ, differ.regions(size))


@contextlib.contextmanager
def _at(image: Image, snapshot: Optional[str]) -> Iterator[Optional[Image]]:
    """Open the image again at a snapshot. Yields None without one, or if it cannot be opened."""
    again = None
    if snapshot is not None:
        with contextlib.suppress(exceptions.Error):
            again = image._open_again(snapshot)
    try:
        yield again
    finally:
        if again is not None:
            again.close()


def _in_turn(differ: _Differ, regions: Iterator[Tuple[int, int]]) -> Iterator[ExtentTuple]:
    """Return the extents of the regions."""
    for start, end in regions:
        yield from differ.find(start, end)


def _ahead(differ: _Differ, regions: Iterator[Tuple[int, int]]) -> Iterator[ExtentTuple]:
    """As _in_turn(). Threads find the extents of the next regions meanwhile."""
    import threading  # these take a while, and small images do not need them
    from queue import Queue

    # Each region goes to a thread with a queue for its extents, or for an exception.
    wanted: Queue[Any] = Queue()
    answers: Deque[Queue[Union[Found, BaseException]]] = collections.deque()

    def work() -> None:
        for region, answer in iter(wanted.get, None):
            try:
                answer.put(differ.find(*region))
            except BaseException as error:
                answer.put(error)

    def ask() -> None:
        region = next(regions, None)
        if region is not None:
            answers.append(Queue())
            wanted.put((region, answers[-1]))

    threads = [threading.Thread(target=work, name="rbd-diff", daemon=True) for _ in range(_DIFFS)]
    try:
        for thread in threads:
            thread.start()
            ask()
        while answers:
            found = answers.popleft().get()
            if isinstance(found, BaseException):
                raise found
            ask()
            yield from found
    finally:
        for _ in threads:
            wanted.put(None)
        for thread in threads:
            while thread.is_alive():
                thread.join(0.01)


def own(image: Image, size: int, queue_depth: int) -> Iterator[ExtentTuple]:
    """Return the extents of a clone's first `size` bytes that are not its parent's, window by
    window.

    An extent does not exist if the clone has discarded what its parent has there. librbd does not
    report the region after an object's end. It reports a discarded object as the parent's.
    """
    period = image.stat()["obj_size"] * image.stripe_count()
    window = -(-WINDOW // period) * period
    overlap = image.overlap()
    mapped = has_map(image)
    for start in range(0, size, window):
        end = min(start + window, size)
        found = sorted(image.diff(start, end - start, include_parent=False))
        shared = min(end, overlap)
        hidden: List[ExtentTuple] = []
        if start < shared and mapped:
            there = image.diff(start, shared - start, include_parent=False, whole_object=True)
            hidden += _without(sorted(there), found)
        elif start < shared:
            visible = sorted(image.diff(start, shared - start))
            # If an object ends early, the rest of the parent's object is hidden.
            periods = sorted(
                {
                    number
                    for at, length, _ in found
                    for number in range(at // period, -(-(at + length) // period))
                }
            )
            touched = [(number * period, period, True) for number in periods]
            if not supports("rbd_quiesce_watch"):
                # Ceph 14 does not report a discarded object at all.
                touched = [(start, shared - start, True)]
            hidden += _without(_without(touched, found), visible)
            # Only the content of a visible region tells whether it is the parent's.
            rest = _without(visible, found)
            for chunk in _pipeline.read_chunks(image, rest, queue_depth, period):
                if chunk.view is None:
                    hidden.append((chunk.offset, chunk.length, False))
        clipped = [(at, min(length, shared - at), False) for at, length, _ in hidden if at < shared]
        yield from sorted([*found, *clipped])


def _without(
    extents: Iterable[ExtentTuple], others: Iterable[ExtentTuple]
) -> Iterator[ExtentTuple]:
    """Return the parts of sorted extents that other sorted extents do not cover."""
    behind = iter(others)
    other = next(behind, None)
    for offset, length, exists in extents:
        at, end = offset, offset + length
        while other is not None and other[0] < end:
            if other[0] > at:
                yield at, other[0] - at, exists
            at = max(at, other[0] + other[1])
            if at >= end:
                break
            other = next(behind, None)
        if at < end:
            yield at, end - at, exists


def with_holes(extents: Iterator[ExtentTuple], size: int) -> Iterator[ExtentTuple]:
    """Return sorted extents, and the gaps between them as extents that do not exist."""
    position = 0
    for offset, length, exists in extents:
        # With whole_object, the last extent may reach beyond the end.
        end = min(offset + length, size)
        if offset > position:
            yield position, offset - position, False
        start = max(offset, position)
        if end > start:
            yield start, end - start, exists
        position = max(position, end)
    if position < size:
        yield position, size - position, False
