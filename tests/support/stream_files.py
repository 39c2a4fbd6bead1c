"""What the tests of streams share: files, diffs made by hand, and images compared."""

from __future__ import annotations

import io
import struct
from typing import Any, Dict, List, Optional, Tuple

import rbd
from rbd.transfer import formats
from rbd.transfer.source import Source

# What a record is here: ("w", offset, data) or ("z", offset, length).
Record = Tuple[str, int, Any]


class Endless(io.RawIOBase):
    """A stream without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"M" * len(buffer)
        return len(buffer)


class Sink(io.RawIOBase):
    """A stream that takes everything."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def make_diff(
    records: List[Record],
    *,
    size: Optional[int] = 1 << 20,
    start: Optional[str] = None,
    end: Optional[str] = None,
    version: int = 1,
) -> bytes:
    """The bytes of a diff, put together from the format's description alone."""

    def record(tag: bytes, body: bytes) -> bytes:
        return tag + (struct.pack("<Q", len(body)) if version == 2 else b"") + body

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    parts = [b"rbd diff v%d\n" % version]
    if start is not None:
        parts.append(record(b"f", text(start)))
    if end is not None:
        parts.append(record(b"t", text(end)))
    if size is not None:
        parts.append(record(b"s", struct.pack("<Q", size)))
    for kind, offset, what in records:
        if kind == "w":
            parts.append(record(b"w", struct.pack("<QQ", offset, len(what)) + what))
        else:
            parts.append(record(b"z", struct.pack("<QQ", offset, what)))
    return b"".join(parts) + b"e"


def parse_diff(stream: bytes) -> Tuple[formats.DiffHeader, List[Record]]:
    """Header and records of a diff."""
    source = Source(io.BytesIO(stream))
    reader = formats.DiffReader(source)
    records: List[Record] = []
    for extent in reader:
        if extent.data:
            records.append(("w", extent.offset, source.read_exact(extent.length)))
        else:
            records.append(("z", extent.offset, extent.length))
    assert source.position == len(stream)
    return reader.header, records


def apply_records(before: bytes, size: int, records: List[Record]) -> bytes:
    """What a model image is after the records."""
    after = bytearray(before[:size].ljust(size, b"\0"))
    for kind, offset, what in records:
        data = what if kind == "w" else bytes(what)
        after[offset : offset + len(data)] = data
    return bytes(after)


def contents(ioctx: Any, name: str, snapshot: Optional[str] = None) -> bytes:
    """All bytes of an image."""
    with rbd.Image(ioctx, name, snapshot=snapshot, read_only=True) as image:
        return image.read(0, image.size()) if image.size() else b""


def states(ioctx: Any, name: str) -> Dict[Optional[str], bytes]:
    """All bytes of an image at each of its snapshots, and of its head (None)."""
    with rbd.Image(ioctx, name, read_only=True) as image:
        names = [entry["name"] for entry in image.list_snaps()]
    return {at: contents(ioctx, name, at) for at in [*names, None]}
