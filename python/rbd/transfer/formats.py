"""The format of the `rbd` command's streams. Reads and writes bytes, without any image.

All integers are little-endian. A string is its length in 32 bits, followed by its bytes.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace

from .. import exceptions
from .._core import _skip_file_records, _skip_records
from .source import Source

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, NoReturn, Optional, Sequence, Tuple

    # Processes the whole records at the beginning of a view, and returns their length. Takes the
    # view, the diff's version, and the largest possible end of an extent.
    Take = Callable[[memoryview, int, int], int]

DIFF_BANNERS = {1: b"rbd diff v1\n", 2: b"rbd diff v2\n"}
IMAGE_BANNER = b"rbd image v2\n"
DIFFS_BANNER = b"rbd image diffs v2\n"

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_EXTENT = struct.Struct("<QQ")
# More than the longest snapshot name, and the longest metadata record, of an intact stream.
_NAME_LIMIT = 1 << 16
_METADATA_LIMIT = 1 << 28
# The length of the `p` record. The command of Ceph 14 and 16 writes another number, but the body
# has one byte as well.
PROTECTION_LENGTH = 1
OLD_PROTECTION_LENGTH = 8


class Extent:
    """A region of the image in a diff: data that follows in the stream, or zeroes.

    `position` is the offset in the stream where the data is, or would be.
    """

    __slots__ = ("data", "length", "offset", "position")

    def __init__(self, offset: int, length: int, data: bool, position: int) -> None:
        self.offset = offset
        self.length = length
        self.data = data
        self.position = position


# These are not data classes, because importing that module takes longer than exporting a small
# diff.


class DiffHeader(SimpleNamespace):
    """The header of a diff. A snapshot of None is the beginning of the image, or its head."""

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
    """The header of a whole image in export format 2, which comes before its diffs."""

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
    """Raise the StreamError for a fault at a position of a stream."""
    raise exceptions.StreamError(f"{message} at byte {position} of the stream", position)


def text(name: bytes) -> str:
    """Decode a name from a stream."""
    return name.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """Encode a name for a stream."""
    return name.encode("utf-8", "surrogateescape")


# Writing


def string(value: bytes) -> bytes:
    """Encode a string for a stream."""
    return _U32.pack(len(value)) + value


def _record(version: int, tag: bytes, body: bytes) -> bytes:
    return tag + (_U64.pack(len(body)) if version == 2 else b"") + body


def diff_header(
    version: int, header: DiffHeader, protection_length: int = PROTECTION_LENGTH
) -> bytes:
    """Return the banner and the header records of a diff."""
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
    """Return a function of (offset, length, data) that encodes the header of an extent."""
    if version == 1:
        pack = struct.Struct("<cQQ").pack
        return lambda offset, length, data: pack(b"w" if data else b"z", offset, length)
    pack2 = struct.Struct("<cQQQ").pack
    size = _EXTENT.size
    return lambda offset, length, data: (
        pack2(b"w", size + length, offset, length) if data else pack2(b"z", size, offset, length)
    )


DIFF_END = b"e"
# The length of the number of an image's diffs.
COUNT_BYTES = _U64.size


def diff_count(diffs: int) -> bytes:
    """Encode the number of an image's diffs, which comes before them."""
    return _U64.pack(diffs)


def image_header(header: ImageHeader, diffs: int) -> bytes:
    """Encode everything before the diffs of a whole image, of which there are `diffs`."""
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
    """Return what comes next in a source: "diff", "image" or "raw" bytes.

    Raises StreamError for a diff or an image of an unknown version.
    """
    banner = source.peek(len(IMAGE_BANNER))
    if banner == IMAGE_BANNER:
        return "image"
    if banner.startswith(tuple(DIFF_BANNERS.values())):
        return "diff"
    if banner.startswith((b"rbd diff v", b"rbd image v")):
        damaged("a banner of an unknown version", source.position)
    return "raw"


# After a longer extent, the data read ahead is not searched for records. It is faster to skip its
# data, or to read it directly to its destination.
_SMALL_BYTES = 128 << 10
# The most records that are skipped in a file before a signal is handled.
_SKIPPED_RECORDS = 64


class DiffReader:
    """Read one diff: its header at once, then its extents.

    A caller that gets an extent with data must read exactly its bytes from the source before the
    next extent.
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
        # Whether the data of all extents is skipped.
        self._skims = False
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
        """Read the length of the record's body, which version 2 contains. Check it against
        `expected`."""
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
            # The body has one byte, whatever the length says.
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
        """Return the extents that `take` does not process.

        `take` gets the data that can be read ahead of the source. That is much faster for many
        small records.
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
            elif take is None and self._skims:
                self._skip_in_file()
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
        """Go through all extents without reading their data. Raises StreamError."""
        self._skims = self._source.skips
        for extent in self.extents(None if self._skims else _skip_records):
            if extent.data:
                self._source.skip(extent.length)

    def _skip_in_file(self) -> None:
        """Skip the whole records that are next in a file."""
        source = self._source
        end = source.base + (source.size or 0)
        start = -1
        while start < source.position:
            start = source.position
            reached = _skip_file_records(
                source.fd, source.base + start, end, self.version, self._limit, _SKIPPED_RECORDS
            )
            source.position = reached - source.base


def read_image_header(source: Source) -> Tuple[ImageHeader, int]:
    """Read the header of a whole image and the number of its diffs."""
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
