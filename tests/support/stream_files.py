"""Helpers of the tests of streams: files, diffs made by hand, and comparisons of images."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import rbd
from rbd.transfer import formats
from rbd.transfer.source import Source

# The form of a record here: ("w", offset, data) or ("z", offset, length).
Record = Tuple[str, int, Any]


class Endless(io.RawIOBase):
    """A stream without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"M" * len(buffer)
        return len(buffer)


class Sink(io.RawIOBase):
    """A stream that accepts everything."""

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
    """Return the bytes of a diff, made only from the format's description."""

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
    """Return the header and the records of a diff."""
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
    """Return a model image after the records."""
    after = bytearray(before[:size].ljust(size, b"\0"))
    for kind, offset, what in records:
        data = what if kind == "w" else bytes(what)
        after[offset : offset + len(data)] = data
    return bytes(after)


def contents(ioctx: Any, name: str, snapshot: Optional[str] = None) -> bytes:
    """Return all bytes of an image."""
    with rbd.Image(ioctx, name, snapshot=snapshot, read_only=True) as image:
        return image.read(0, image.size()) if image.size() else b""


def states(ioctx: Any, name: str) -> Dict[Optional[str], bytes]:
    """Return all bytes of an image at each of its snapshots, and of its head (None)."""
    with rbd.Image(ioctx, name, read_only=True) as image:
        names = [entry["name"] for entry in image.list_snaps()]
    return {at: contents(ioctx, name, at) for at in [*names, None]}


class XorFile(io.FileIO):
    """A file whose data differs from that of its descriptor."""

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return bytes(byte ^ 0x55 for byte in super().read(size) or b"")

    def readall(self) -> bytes:
        return self.read(-1)

    def write(self, data: Any) -> int:
        return super().write(bytes(byte ^ 0x55 for byte in bytes(data)))


class XorWriter(io.BufferedWriter):
    """A buffered writer over a plain file that changes what it writes."""

    def write(self, data: Any) -> int:
        return super().write(bytes(byte ^ 0x55 for byte in bytes(data)))


class XorReader(io.BufferedReader):
    """A buffered reader over a plain file that changes what it reads."""

    def readinto(self, buffer: Any) -> int:
        done = super().readinto(buffer)
        buffer[:done] = bytes(byte ^ 0x55 for byte in buffer[:done])
        return done

    def read(self, size: Any = -1) -> bytes:
        return bytes(byte ^ 0x55 for byte in super().read(size))


class Proxy:
    """A file object that passes some methods on, and has the descriptor of another file."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.read = file.read
        self.write = file.write
        self.close = file.close

    def fileno(self) -> int:
        raise AttributeError("no fileno")


@contextlib.contextmanager
def _buffered_gzip(path: Path, mode: str) -> Iterator[Any]:
    with gzip.open(path, mode) as inner:
        kind = io.BufferedReader if mode == "rb" else io.BufferedWriter
        with kind(inner) as file:
            yield file


@contextlib.contextmanager
def _xor(path: Path, mode: str) -> Iterator[Any]:
    with XorFile(path, mode) as file:
        yield file


@contextlib.contextmanager
def _buffered_xor(path: Path, mode: str) -> Iterator[Any]:
    kind = io.BufferedReader if mode == "rb" else io.BufferedWriter
    with kind(XorFile(path, mode)) as file:
        yield file


@contextlib.contextmanager
def _derived_xor(path: Path, mode: str) -> Iterator[Any]:
    kind = XorReader if mode == "rb" else XorWriter
    with kind(io.FileIO(path, mode)) as file:
        yield file


@contextlib.contextmanager
def _pair(path: Path, mode: str) -> Iterator[Any]:
    with open(path, mode) as file, open(os.devnull, "rb" if mode == "wb" else "wb") as null:
        reader, writer = (null, file) if mode == "wb" else (file, null)
        with io.BufferedRWPair(reader.raw, writer.raw) as pair:
            yield pair


@contextlib.contextmanager
def _tar_member(path: Path, mode: str) -> Iterator[Any]:
    if mode == "rb":
        with tarfile.open(path) as archive, archive.extractfile("member") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        member = tarfile.TarInfo("member")
        member.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with tarfile.open(path, "w") as archive:
            archive.addfile(member, file)


@contextlib.contextmanager
def _zip_member(path: Path, mode: str) -> Iterator[Any]:
    with (
        zipfile.ZipFile(path, mode[0], zipfile.ZIP_DEFLATED) as archive,
        archive.open("member", mode[0]) as file,
    ):
        yield file


@contextlib.contextmanager
def _through(path: Path, mode: str, file: Any, at: Any = None) -> Iterator[Any]:
    """Return a file without a name that has the bytes of the path."""
    with file:
        if mode == "rb":
            file.write(path.read_bytes())
            file.seek(0)
        yield file if at is None else at(file)
        if mode == "wb":
            file.seek(0)
            path.write_bytes(file.read())


def _memfd(path: Path, mode: str) -> Any:
    return _through(path, mode, os.fdopen(os.memfd_create("stream"), "w+b"))


def _memfd_number(path: Path, mode: str) -> Any:
    raw = io.FileIO(os.memfd_create("stream"), "r+b")
    return _through(path, mode, raw, lambda file: file.fileno())


def _memfd_name(path: Path, mode: str) -> Any:
    raw = io.FileIO(os.memfd_create("stream"), "r+b")
    return _through(path, mode, raw, lambda file: f"/dev/fd/{file.fileno()}")


def _unlinked_name(path: Path, mode: str) -> Any:
    file = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115
    return _through(path, mode, file, lambda file: f"/proc/self/fd/{file.fileno()}")


def _spooled(path: Path, mode: str) -> Any:
    return _through(path, mode, tempfile.SpooledTemporaryFile(max_size=5000))


def _named_temporary(path: Path, mode: str) -> Any:
    return _through(path, mode, tempfile.NamedTemporaryFile())


@contextlib.contextmanager
def _proxy(path: Path, mode: str) -> Iterator[Any]:
    with open(path, f"{mode[0]}+b" if mode == "rb" else "w+b") as file:
        yield Proxy(file)


#: Functions of a path and a mode ("rb", "wb"), each of which returns a context manager for a file
#: object, a descriptor or a name with the file's bytes, or with others. Data that was written
#: through one is read through the same one.
WRAPPED: Dict[str, Callable[[Path, str], Any]] = {
    "plain": open,
    "raw": io.FileIO,
    "path": lambda path, mode: contextlib.nullcontext(path),
    "gzip": gzip.open,
    "bz2": bz2.open,
    "lzma": lzma.open,
    "buffered gzip": _buffered_gzip,
    "FileIO derived": _xor,
    "FileIO derived, buffered": _buffered_xor,
    "Buffered derived": _derived_xor,
    "BufferedRWPair": _pair,
    "tar member": _tar_member,
    "zip member": _zip_member,
    "memfd": _memfd,
    "memfd's number": _memfd_number,
    "memfd's name": _memfd_name,
    "unlinked file's name": _unlinked_name,
    "spooled": _spooled,
    "named temporary": _named_temporary,
    "proxy": _proxy,
}
