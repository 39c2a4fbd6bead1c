"""The targets of the fuzzer. Each takes any bytes, and raises AssertionError if a parser
misbehaves.

A parser must accept a stream or raise a StreamError whose position lies in it. In both cases, it
may only take memory in proportion to the stream's bytes.
"""

from __future__ import annotations

import io
import struct
import sys
from typing import Callable, Dict, List, Tuple

from rbd import exceptions, transfer
from rbd.transfer import formats
from rbd.transfer.source import Source
from support.stream_files import make_diff


class Pipe(io.RawIOBase):
    """A source that cannot be sought, and returns a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._rest[: min(len(buffer), 7)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)


class TooLong(Exception):
    """Raised if more is written than the streams' bytes can make."""


class Bounded(io.BytesIO):
    """A destination with a limit."""

    LIMIT = 64 << 20

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.LIMIT:
            raise TooLong
        return super().write(data)


def _outcome(parse: Callable[[], object], *streams: bytes) -> object:
    """Return what `parse` makes of the streams, with the position of a StreamError."""
    try:
        return parse()
    except exceptions.StreamError as error:
        damage = error
    longest = max(map(len, streams))
    assert type(damage.position) is int, damage.position
    assert 0 <= damage.position <= longest, (damage.position, longest)
    assert len(str(damage)) < 1000, "a message as long as the stream"
    return ("StreamError", damage.position)


def _diff(source: Source) -> List[Tuple[int, int, bool]]:
    reader = formats.DiffReader(source)
    extents = []
    for extent in reader:
        if extent.data:
            source.skip(extent.length)
        extents.append((extent.offset, extent.length, extent.data))
    return extents


def diff(data: bytes) -> None:
    """Check that a diff of either version is read in the same way from a file and from a pipe."""
    one = _outcome(lambda: _diff(Source(io.BytesIO(data))), data)
    two = _outcome(lambda: _diff(Source(Pipe(data))), data)
    assert one == two, (one, two)


def image(data: bytes) -> None:
    """Check a whole image in export format 2."""

    def parse() -> None:
        source = Source(io.BytesIO(data))
        _, count = formats.read_image_header(source)
        for _ in range(count):
            _diff(source)

    _outcome(parse, data)


def merge(data: bytes) -> None:
    """Check the merging of two diffs, or of an image and a diff. The first one's length comes
    first.

    Two diffs must make an intact diff.
    """
    if len(data) < 2:
        return
    (length,) = struct.unpack_from("<H", data)
    first, second = data[2 : 2 + length], data[2 + length :]
    result = Bounded()

    banners = tuple(formats.DIFF_BANNERS.values())

    def parse() -> bool:
        try:
            transfer.merge_diff(io.BytesIO(first), io.BytesIO(second), result)
        except exceptions.InvalidArgument:
            return False
        except TooLong:
            # A plain image gets the length that the second stream says, even if the first one is
            # short.
            assert not first.startswith(banners), "the diff is longer than the streams"
            return False
        return True

    if _outcome(parse, first, second) is True and first.startswith(banners):
        _diff(Source(io.BytesIO(result.getvalue())))


TARGETS: Dict[str, Callable[[bytes], None]] = {"diff": diff, "image": image, "merge": merge}


def seeds() -> Dict[str, List[bytes]]:
    """Return intact streams of every kind as a start."""
    records = [("w", 4096, b"data" * 8), ("z", 8192, 4096), ("w", 20000, b""), ("z", 65536, 100)]
    diffs = [
        make_diff(records, version=version, start=start, end=end, size=size)
        for version in (1, 2)
        for start, end, size in ((None, None, 1 << 20), ("a", "b", 1 << 20), ("b", None, 70000))
    ]
    number = struct.Struct("<Q").pack
    header = formats.ImageHeader(22, 61, 4096, 2, [(b"key", b"value"), (b"", b"")])
    unknown = formats.IMAGE_BANNER + b"X" + number(3) + b"abc" + b"E" + formats.DIFFS_BANNER
    images = [
        formats.image_header(header, 2) + diffs[3] + diffs[5],
        unknown + number(1) + diffs[3],
    ]
    pairs = [(diffs[0], diffs[0]), (diffs[1], diffs[2]), (diffs[4], diffs[5])]
    return {
        "diff": diffs,
        "image": images,
        "merge": [struct.pack("<H", len(one)) + one + two for one, two in pairs],
    }


def check(name: str, data: bytes) -> None:
    """Run a target. Its exception names the input."""
    try:
        TARGETS[name](data)
    except BaseException:
        print(f"{name}: {data!r}"[:100_000], file=sys.stderr)
        raise
