"""The model that test_model compares images with: their content as plain bytes in memory."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import rbd

SECTOR = 512


class Layout(NamedTuple):
    """The place of an image's bytes in objects."""

    order: int = 16
    stripe_unit: int = 1 << 16
    stripe_count: int = 1
    features: Optional[int] = None

    def keywords(self) -> Dict[str, Any]:
        """Return the keywords of create() and clone()."""
        found = self._asdict()
        if self.stripe_count == 1:
            del found["stripe_unit"], found["stripe_count"]
        return found

    def pieces(self, offset: int, length: int) -> Iterator[Tuple[int, int, int, int]]:
        """Divide a range of the image into pieces: object, offset there, length, offset in the
        image.

        The pieces of one object come in their order in the object.
        """
        end = offset + length
        stripes = (1 << self.order) // self.stripe_unit
        while offset < end:
            block, inside = divmod(offset, self.stripe_unit)
            stripe, position = divmod(block, self.stripe_count)
            many, row = divmod(stripe, stripes)
            here = min(self.stripe_unit - inside, end - offset)
            where = row * self.stripe_unit + inside
            yield many * self.stripe_count + position, where, here, offset
            offset += here

    def objects(self, offset: int, length: int) -> Set[int]:
        """Return the objects that hold a range of the image."""
        return {piece[0] for piece in self.pieces(offset, length)}


class Step(NamedTuple):
    """One change of an image's content. Its bytes follow from the seed; 0 makes zeroes."""

    kind: str
    offset: int
    length: int
    seed: int

    def data(self) -> bytes:
        """Return the data that it writes."""
        if self.kind == "write_same":
            return noise(self.seed, SECTOR) * (self.length // SECTOR)
        return noise(self.seed, self.length)


#: A compare_and_write that must find other data than it compares with.
MISMATCH = "compare_and_write_mismatch"
KINDS = (
    "write",
    "writev",
    "write_blocks",
    "write_same",
    "compare_and_write",
    MISMATCH,
    "discard",
    "write_zeroes",
)


def noise(seed: int, length: int) -> bytes:
    """Return bytes that no other data has, so that data in the wrong place is noticed."""
    return random.Random(seed).randbytes(length) if seed else bytes(length)


class Model:
    """An image's content and snapshots, and the objects that were touched between them."""

    def __init__(self, layout: Layout, content: bytes, granularity: int, clone: bool) -> None:
        self.layout = layout
        self.content = bytearray(content)
        #: By name, oldest first.
        self.snapshots: Dict[str, bytes] = {}
        #: How many clones each snapshot has.
        self.clones: Dict[str, int] = {}
        #: The objects touched before each snapshot, and since the last; one more than snapshots.
        self.epochs: List[Set[int]] = [layout.objects(0, len(content)) if clone else set()]
        self.granularity = granularity
        self.smallest = len(content)  # the smallest size so far
        #: The length of a header of encryption, in bytes, which the stored size includes.
        self.header = 0

    # What is there

    @property
    def size(self) -> int:
        return len(self.content)

    def at(self, snapshot: Optional[str]) -> bytes:
        """Return the content at a snapshot, or of the head."""
        return bytes(self.content) if snapshot is None else self.snapshots[snapshot]

    def touched(self, since: Optional[str], until: Optional[str]) -> Set[int]:
        """Return the objects in which something may have changed between two snapshots."""
        names = list(self.snapshots)
        start = 0 if since is None else names.index(since) + 1
        end = len(names) if until is None else names.index(until)
        return set().union(*self.epochs[start : end + 1])

    # Changes of the content

    def fit(self, step: Step) -> Optional[Step]:
        """Return the step moved into the image and fitted to its kind; None if impossible."""
        if not self.size:
            return None
        kind, offset, length, seed = step
        offset %= self.size
        length = min(length, self.size - offset)
        if kind == "write_same":
            offset -= offset % SECTOR
            length = max(length - length % SECTOR, SECTOR)
        if kind in ("compare_and_write", MISMATCH):
            # librbd compares only inside a sector.
            length = min(length, SECTOR - offset % SECTOR)
        if kind == MISMATCH:
            length = max(length, 1)
        if kind == "write_blocks":
            length = max(length - length % 3, 3)
        return Step(kind, offset, length, seed) if offset + length <= self.size else None

    def apply(self, step: Step) -> None:
        """Make the same change as the step makes on an image."""
        kind, offset, length, _ = step
        self.epochs[-1] |= self.layout.objects(offset, length)
        if kind == "discard":
            for start, size in self.discarded(offset, length):
                self.put(start, bytes(size))
        elif kind == "write_zeroes":
            self.put(offset, bytes(length))
        elif kind != MISMATCH:
            self.put(offset, step.data())

    def put(self, offset: int, data: bytes) -> None:
        """Put data at an offset."""
        self.epochs[-1] |= self.layout.objects(offset, len(data))
        self.content[offset : offset + len(data)] = data

    def discarded(self, offset: int, length: int) -> Iterator[Tuple[int, int]]:
        """Return the parts of a discarded range that librbd discards: whole units, or up to the
        end."""
        ranges: Dict[int, Tuple[int, int]] = {}
        pieces = list(self.layout.pieces(offset, length))
        for number, where, size, _ in pieces:
            start, _end = ranges.get(number, (where, where))
            ranges[number] = (start, where + size)
        whole = 1 << self.layout.order
        unit = min(self.granularity, whole)
        for number, where, size, place in pieces:
            start, end = ranges[number]
            if unit < whole or end < whole:
                start, end = -(-start // unit) * unit, end // unit * unit
            first, last = max(start, where), min(end, where + size)
            if first < last:
                yield place + first - where, last - first

    def resize(self, size: int) -> None:
        self.epochs[-1] |= self.layout.objects(size, max(self.size - size, 0))
        self.content = self.content[:size].ljust(size, b"\0")
        self.smallest = min(self.smallest, size)

    def end_file(self) -> None:
        """Note that a growing file may have set the image's size exactly, from a larger one.

        A shrink makes the objects around the new end as long as they may be.
        """
        whole_set = self.layout.stripe_count << self.layout.order
        self.epochs[-1] |= self.layout.objects(self.size, whole_set)

    # Snapshots and clones

    def snapshot(self, name: str) -> None:
        self.snapshots[name] = bytes(self.content)
        self.clones[name] = 0
        self.epochs.append(set())

    def remove_snapshot(self, name: str) -> None:
        index = list(self.snapshots).index(name)
        del self.snapshots[name], self.clones[name]
        self.epochs[index : index + 2] = [self.epochs[index] | self.epochs[index + 1]]

    def rollback(self, name: str) -> None:
        content = self.snapshots[name]
        self.epochs[-1] |= self.layout.objects(0, max(self.size, len(content)))
        self.content = bytearray(content)

    def clone(self, name: str, layout: Layout) -> Model:
        self.clones[name] += 1
        made = Model(layout, self.snapshots[name], self.granularity, clone=True)
        made.header = self.header
        return made

    def flatten(self) -> None:
        self.epochs[-1] |= self.layout.objects(0, self.size)

    # Comparing

    def compare(self, image: rbd.Image) -> None:
        """Check that the image equals the model: size, content, and each snapshot's content."""
        check(image, self.content)
        found = [(snap["name"], snap["size"] - self.header) for snap in image.list_snaps()]
        assert found == [(name, len(content)) for name, content in self.snapshots.items()]
        for name, content in self.snapshots.items():
            with at_snapshot(image, name):
                check(image, content)

    def compare_diff(
        self,
        image: rbd.Image,
        since: Optional[str],
        until: Optional[str],
        region: Tuple[int, int],
        whole_object: bool,
    ) -> None:
        """Check the diff of librbd: it has all changes, and nothing but whole objects around them.

        The image must be set to `until`.
        """
        found: List[Tuple[int, int, bool]] = []
        image.diff_iterate(
            *region, since, lambda *extent: found.append(extent), whole_object=whole_object
        )
        assert list(image.diff(*region, since, whole_object=whole_object)) == found
        after = self.at(until)
        before = (b"" if since is None else self.at(since))[: len(after)].ljust(len(after), b"\0")
        touched = self.touched(since, until)
        place, last = region[0], min(sum(region), len(after))
        for offset, length, exists in sorted(found):
            assert length > 0, found
            if not whole_object:
                assert region[0] <= offset, (region, found)
                assert offset + length <= last, (region, found)
            assert self.layout.objects(offset, length) <= touched, (touched, found)
            if not exists:
                assert not any(after[offset : offset + length]), (offset, length)
            if place < offset:
                end = min(offset, last)
                assert after[place:end] == before[place:end], (place, end, found)
            assert place <= max(offset, region[0]), f"reported twice: {found}"
            place = max(place, offset + length)
        assert after[place:last] == before[place:last], (place, last, found)


def await_parent_release(image: rbd.Image) -> None:
    """Give librbd's threads time to release the parent that they have opened for a clone.

    If librbd closes the parent before that, it crashes. The next set_snap() may make it do so.
    """
    with contextlib.suppress(rbd.ImageNotFound):
        image.parent_info()
        time.sleep(0.005)


@contextlib.contextmanager
def at_snapshot(image: rbd.Image, name: Optional[str]) -> Iterator[None]:
    """Read from the snapshot for the duration of the body."""
    image.set_snap(name)
    await_parent_release(image)
    try:
        yield
    finally:
        image.set_snap(None)
        await_parent_release(image)


def check(image: rbd.Image, content: bytes) -> None:
    """Check that the image reads as that content. If it does not, report the sectors that differ
    now, and those that still differ a second later."""
    found = read_all(image)
    if found != content:
        time.sleep(1)
        later = sectors_unlike(read_all(image), content)
        raise AssertionError(
            f"{len(found)} bytes for {len(content)}; sectors that are other than they should be: "
            f"{sectors_unlike(found, content)}, and a second later {later}"
        )


def sectors_unlike(found: bytes, expected: bytes) -> List[int]:
    """Return the sectors in which two contents differ."""
    starts = range(0, max(len(found), len(expected)), SECTOR)
    return [at // SECTOR for at in starts if found[at : at + SECTOR] != expected[at : at + SECTOR]]


def read_all(image: rbd.Image) -> bytes:
    """Return all bytes of the image. Their number must be its size."""
    size = image.size()
    data = image.read(0, size) if size else b""
    assert len(data) == size
    return data
