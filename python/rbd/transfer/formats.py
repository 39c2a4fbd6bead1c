"""The bytes of the `rbd` command's streams: pure reading and writing, no image in sight.

All integers are little-endian; a string is its length as 32 bits, then its bytes.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Callable, Iterator, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

from .. import exceptions
from .._core import _skip_records
from .source import Source

DIFF_BANNERS = {1: b"rbd diff v1\n", 2: b"rbd diff v2\n"}
IMAGE_BANNER = b"rbd image v2\n"
DIFFS_BANNER = b"rbd image diffs v2\n"

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_EXTENT = struct.Struct("<QQ")
# The longest snapshot name and the longest metadata record that a sound stream has, and then some.
_NAME_LIMIT = 1 << 16
_METADATA_LIMIT = 1 << 28
# The length of the `p` record, and what the command line of Ceph 14 and 16 says it is; its body is
# one byte all the same.
PROTECTION_LENGTH = 1
OLD_PROTECTION_LENGTH = 8


class Extent(NamedTuple):
    """A stretch of the image in a diff: data that follows in the stream, or zeroes."""

    offset: int
    length: int
    data: bool
    # Where in the stream the data is, or would be.
    position: int


# Not data classes: that module takes longer to import than a small diff to export.


class DiffHeader(SimpleNamespace):
    """What a diff says before its first extent; a snapshot of None is the beginning or the head."""

    def __init__(
        self,
        from_snapshot: Optional[bytes] = None,
        to_snapshot: Optional[bytes] = None,
        size: Optional[int] = None,
        protected: Optional[bool] = None,
    ) -> None:
        self.from_snapshot = from_snapshot
        self.to_snapshot = to_snapshot
        self.size = size
        self.protected = protected


class ImageHeader(SimpleNamespace):
    """What a whole image in export format 2 says before its diffs."""

    def __init__(
        self,
        order: Optional[int] = None,
        features: Optional[int] = None,
        stripe_unit: Optional[int] = None,
        stripe_count: Optional[int] = None,
        metadata: Sequence[Tuple[bytes, bytes]] = (),
    ) -> None:
        self.order = order
        self.features = features
        self.stripe_unit = stripe_unit
        self.stripe_count = stripe_count
        self.metadata: List[Tuple[bytes, bytes]] = [*metadata]


def damaged(message: str, position: int) -> NoReturn:
    """Raises the StreamError for what is wrong at a position of a stream."""
    raise exceptions.StreamError(f"{message} at byte {position} of the stream", position)


def text(name: bytes) -> str:
    """A name of a stream as Python has names."""
    return name.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """A name as streams have names."""
    return name.encode("utf-8", "surrogateescape")


# Writing


def string(value: bytes) -> bytes:
    """A string as it stands in a stream."""
    return _U32.pack(len(value)) + value


def _record(version: int, tag: bytes, body: bytes) -> bytes:
    return tag + (_U64.pack(len(body)) if version == 2 else b"") + body


def diff_header(
    version: int, header: DiffHeader, protection_length: int = PROTECTION_LENGTH
) -> bytes:
    """Banner and header records of a diff."""
    parts = [DIFF_BANNERS[version]]
    if header.from_snapshot is not None:
        parts.append(_record(version, b"f", string(header.from_snapshot)))
    if header.to_snapshot is not None:
        parts.append(_record(version, b"t", string(header.to_snapshot)))
    if header.protected is not None:
        parts.append(b"p" + _U64.pack(protection_length) + bytes([header.protected]))
    if header.size is not None:
        parts.append(_record(version, b"s", _U64.pack(header.size)))
    return b"".join(parts)


def extent_header(version: int) -> Callable[[int, int, bool], bytes]:
    """A function of (offset, length, data) for what stands before an extent's data, if any."""
    if version == 1:
        pack = struct.Struct("<cQQ").pack
        return lambda offset, length, data: pack(b"w" if data else b"z", offset, length)
    pack2 = struct.Struct("<cQQQ").pack
    size = _EXTENT.size
    return lambda offset, length, data: (
        pack2(b"w", size + length, offset, length) if data else pack2(b"z", size, offset, length)
    )


DIFF_END = b"e"
# How long the number of an image's diffs is.
COUNT_BYTES = _U64.size


def diff_count(diffs: int) -> bytes:
    """The number of an image's diffs, as it stands before them."""
    return _U64.pack(diffs)


def image_header(header: ImageHeader, diffs: int) -> bytes:
    """What stands before the diffs of a whole image, of which there are `diffs`."""
    parts = [IMAGE_BANNER]
    for tag, value in (
        (b"O", header.order),
        (b"T", header.features),
        (b"U", header.stripe_unit),
        (b"C", header.stripe_count),
    ):
        if value is not None:
            parts.append(_record(2, tag, _U64.pack(value)))
    for key, value_ in header.metadata:
        parts.append(_record(2, b"M", string(key) + string(value_)))
    parts += [b"E", DIFFS_BANNER, diff_count(diffs)]
    return b"".join(parts)


# Reading


def _u64(source: Source) -> int:
    (value,) = _U64.unpack(source.read_exact(8))
    return int(value)


def _string(source: Source, limit: int) -> bytes:
    position = source.position
    (length,) = _U32.unpack(source.read_exact(4))
    if length > limit:
        damaged(f"a string of {length} bytes", position)
    return source.read_exact(length)


def _expect(source: Source, banner: bytes, what: str) -> None:
    position = source.position
    if source.read_exact(len(banner)) != banner:
        damaged(f"no {what}", position)


def kind_of(source: Source) -> str:
    """What comes next in a source: "diff", "image" or "raw" bytes.

    Raises StreamError if it begins as a diff or an image of a version that does not exist.
    """
    banner = source.peek(len(IMAGE_BANNER))
    if banner == IMAGE_BANNER:
        return "image"
    if banner.startswith(tuple(DIFF_BANNERS.values())):
        return "diff"
    if banner.startswith((b"rbd diff v", b"rbd image v")):
        damaged("a banner of an unknown version", source.position)
    return "raw"


# Behind an extent that is longer, in bytes, others are not looked for in what is read ahead: it is
# quicker to pass over their data, or to read them to where they go.
_SMALL_BYTES = 32 << 10

# Does what is to be done with the whole records of extents with which a view begins, and returns
# their length: a function of the view, the diff's version, and the limit of their ends.
Take = Callable[[memoryview, int, int], int]


class DiffReader:
    """Reads one diff: its header when made, then its extents.

    Whoever takes an extent with data must take exactly its bytes from the source before the next.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        position = source.position
        banner = source.read_exact(len(DIFF_BANNERS[1]))
        versions = [version for version, known in DIFF_BANNERS.items() if banner == known]
        if not versions:
            damaged("no banner of a diff", position)
        self.version = versions[0]
        self.header = DiffHeader()
        self._pending: Optional[Extent] = None
        self._ended = False
        seen = set()
        while True:
            position = source.position
            tag = source.read_exact(1)
            if tag in b"wze":
                self._pending = self._extent(tag, position)
                break
            if tag in seen:
                damaged(f"a second record {tag!r}", position)
            seen.add(tag)
            self._header_record(tag, position)

    def _length(self, expected: Optional[int], position: int) -> Optional[int]:
        """The length of the record's body, which version 2 contains; checked if it is known."""
        if self.version == 1:
            return None
        length = _u64(self._source)
        if expected is not None and length != expected:
            damaged(f"a record of {length} bytes instead of {expected}", position)
        return length

    def _header_record(self, tag: bytes, position: int) -> None:
        source, header = self._source, self.header
        if tag in (b"f", b"t"):
            length = self._length(None, position)
            name = _string(source, _NAME_LIMIT)
            if length is not None and length != len(name) + 4:
                damaged(f"a record of {length} bytes instead of {len(name) + 4}", position)
            if tag == b"f":
                header.from_snapshot = name
            else:
                header.to_snapshot = name
        elif tag == b"s":
            self._length(8, position)
            header.size = _u64(source)
        elif tag == b"p" and self.version == 2:
            # Whatever the length says, the body is one byte.
            self._length(None, position)
            header.protected = source.read_exact(1) != b"\0"
        else:
            self._unknown(tag, position)

    def _unknown(self, tag: bytes, position: int) -> None:
        length = self._length(None, position)
        if length is None:
            damaged(f"an unknown record {tag!r}", position)
        self._source.skip(length)

    def _extent(self, tag: bytes, position: int) -> Optional[Extent]:
        source = self._source
        if tag == b"e":
            self._ended = True
            return None
        length = self._length(_EXTENT.size if tag == b"z" else None, position)
        offset, size = _EXTENT.unpack(source.read_exact(_EXTENT.size))
        if tag == b"w" and length is not None and length != size + _EXTENT.size:
            damaged(f"a record of {length} bytes instead of {size + _EXTENT.size}", position)
        if offset + size > self._limit:
            damaged(f"an extent {offset}~{size} beyond the image's {self._limit} bytes", position)
        return Extent(offset, size, tag == b"w", source.position)

    @property
    def _limit(self) -> int:
        return (1 << 64) - 1 if self.header.size is None else self.header.size

    def __iter__(self) -> Iterator[Extent]:
        return self.extents(None)

    def extents(self, take: Optional[Take]) -> Iterator[Extent]:
        """The extents that `take` leaves.

        It gets what can be read ahead of the source, which makes the difference where records are
        small and many.
        """
        while True:
            extent, self._pending = self._pending, None
            if extent is not None:
                yield extent
                if extent.data and self._source.position != extent.position + extent.length:
                    raise AssertionError("the data of an extent was not taken")
            if self._ended:
                return
            if take is not None and (
                extent is None or not extent.data or extent.length <= _SMALL_BYTES
            ):
                self._hand_over(take)
            position = self._source.position
            tag = self._source.read_exact(1)
            if tag in b"wze":
                self._pending = self._extent(tag, position)
            elif tag in b"ftsp":
                damaged(f"a record {tag!r} after the first extent", position)
            else:
                self._unknown(tag, position)

    def _hand_over(self, take: Take) -> None:
        while True:
            view = self._source.ahead()
            taken = take(view, self.version, self._limit) if len(view) else 0
            if not taken:
                return
            self._source.consume(taken)

    def skim(self) -> None:
        """Goes through all extents without looking at their data. Raises StreamError."""
        for extent in self.extents(_skip_records):
            if extent.data:
                self._source.skip(extent.length)


def read_image_header(source: Source) -> Tuple[ImageHeader, int]:
    """The header of a whole image and the number of its diffs."""
    _expect(source, IMAGE_BANNER, "banner of an image")
    header = ImageHeader()
    while True:
        position = source.position
        tag = source.read_exact(1)
        if tag == b"E":
            break
        length = _u64(source)
        if tag == b"M":
            if length > _METADATA_LIMIT:
                damaged(f"metadata of {length} bytes", position)
            key = _string(source, _METADATA_LIMIT)
            value = _string(source, _METADATA_LIMIT)
            if length != len(key) + len(value) + 8:
                damaged(f"a record of {length} bytes of another size", position)
            header.metadata.append((key, value))
            continue
        name = {b"O": "order", b"T": "features", b"U": "stripe_unit", b"C": "stripe_count"}.get(tag)
        if name is None:
            source.skip(length)
            continue
        if length != 8:
            damaged(f"a record of {length} bytes instead of 8", position)
        setattr(header, name, _u64(source))
    _expect(source, DIFFS_BANNER, "banner of the diffs")
    position = source.position
    diffs = _u64(source)
    if diffs < 1:
        damaged("an image without any diff", position)
    return header, diffs
