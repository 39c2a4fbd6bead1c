"""Images as binary files: `rbd.open` by address, `Image.open_file` over an open image."""

from __future__ import annotations

import builtins
import errno
import io
import operator
import os
import threading
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union

from . import exceptions
from ._core import RBD, Image
from .spec import ImageSpec, open_ioctx, open_spec

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["EndOfImage", "ImageFile", "open"]

# What a buffered file asks for at once: small, so that jumping about does not read for nothing.
_BUFFER_BYTES = 64 << 10
# How far a file reads ahead of a program that reads on and on.
_READAHEAD_BYTES = 4 << 20
_READAHEAD_START = 256 << 10


class EndOfImage(exceptions.NoSpace, builtins.OSError):
    """A write into a file at or beyond the image's end (ENOSPC); truncate() makes images larger."""


class _Readahead:
    """The piece of the image that was read before it was asked for."""

    def __init__(self) -> None:
        self.start = 0
        self.data = memoryview(b"")
        self.next = 0
        self.size = 0

    def forget(self) -> None:
        self.data = memoryview(b"")
        self.size = 0


class ImageFile(io.RawIOBase):
    """A raw binary file over an image: an unbuffered stream with a position.

    It is as long as the image. Reads at the end are short, writes across the end too; a write at or
    beyond the end raises EndOfImage. `truncate` resizes the image, `flush` returns when all that
    was written is in the cluster. There is no file descriptor behind it.
    """

    def __init__(
        self, image: Image, mode: str, name: str, *, owned: bool = False, readahead: bool = False
    ) -> None:
        super().__init__()
        self.image = image
        self.name = name
        self.mode = mode
        self._readable = "r" in mode or "+" in mode
        self._writable = "r" not in mode or "+" in mode
        self._owned = owned
        self._position = 0
        self._written = False
        self._ahead = _Readahead() if readahead and self._readable else None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<rbd.files.ImageFile {self.name!r} mode={self.mode!r}{state}>"

    def _require(self, able: bool, what: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not able:
            raise io.UnsupportedOperation(f"the file is not {what}")

    def readable(self) -> bool:
        """Whether it can be read."""
        return self._readable

    def writable(self) -> bool:
        """Whether it can be written."""
        return self._writable

    def seekable(self) -> bool:
        """Always True."""
        return True

    def fileno(self) -> int:
        """Raises io.UnsupportedOperation: an image has no file descriptor."""
        raise io.UnsupportedOperation("an image has no file descriptor")

    def isatty(self) -> bool:
        """Always False."""
        return False

    def tell(self) -> int:
        """The position in bytes."""
        self._require(True, "open")
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position, from start (0), position (1) or end (2); gives the new one."""
        self._require(True, "open")
        offset = operator.index(offset)
        if whence == os.SEEK_SET:
            position = offset
        elif whence == os.SEEK_CUR:
            position = self._position + offset
        elif whence == os.SEEK_END:
            position = self.image.size() + offset
        else:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads into a buffer from the position on; gives how many bytes, 0 at the end."""
        self._require(self._readable, "readable")
        with memoryview(buffer) as whole, whole.cast("B") as view, self._lock:
            there = self.image.size() - self._position
            if there <= 0 or not len(view):
                return 0
            with view[:there] as wanted:
                if self._ahead is None:
                    done = self.image.readinto(wanted, self._position)
                else:
                    done = self._read_ahead(self._ahead, wanted, there)
            self._position += done
            return int(done)

    def _read_ahead(self, ahead: _Readahead, wanted: memoryview, there: int) -> int:
        position = self._position
        at = position - ahead.start
        if not 0 <= at < len(ahead.data):
            if position != ahead.next or len(wanted) >= _READAHEAD_BYTES:
                # A jump, or a read that is large by itself.
                ahead.forget()
                done = self.image.readinto(wanted, position)
                ahead.next = position + done
                return int(done)
            # Each time the reader comes back for more, further ahead.
            ahead.size = min(max(2 * ahead.size, _READAHEAD_START), _READAHEAD_BYTES)
            piece = bytearray(min(max(ahead.size, len(wanted)), there))
            done = self.image.readinto(piece, position)
            ahead.start, ahead.data, at = position, memoryview(piece)[:done], 0
        part = ahead.data[at : at + len(wanted)]
        wanted[: len(part)] = part
        ahead.next = position + len(part)
        return len(part)

    def readall(self) -> bytes:
        """Everything from the position to the end."""
        self._require(self._readable, "readable")
        with self._lock:
            there = self.image.size() - self._position
            data = self.image.read(self._position, there) if there > 0 else b""
            self._position += len(data)
            return data

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes from the position on; gives how many bytes, fewer across the end of the image.

        Raises EndOfImage where nothing fits.
        """
        self._require(self._writable, "writable")
        with memoryview(data) as whole, whole.cast("B") as view, self._lock:
            if not len(view):
                return 0
            there = self.image.size() - self._position
            if there <= 0:
                raise EndOfImage(
                    f"{self.name!r} ends at {self._position + there}, before {self._position}",
                    errno=errno.ENOSPC,
                )
            if self._ahead is not None:
                self._ahead.forget()
            self._written = True
            with view[:there] as part:
                done = self.image.write(part, self._position)
            self._position += done
            return int(done)

    def truncate(self, size: Optional[int] = None, /) -> int:
        """Resizes the image to `size` bytes, by default to the position; gives the size."""
        self._require(self._writable, "writable")
        with self._lock:
            size = self._position if size is None else operator.index(size)
            if size < 0:
                raise ValueError(f"negative size {size}")
            if self._ahead is not None:
                self._ahead.forget()
            if size != self.image.size():
                self.image.resize(size)
            return size

    def flush(self) -> None:
        """Returns when everything that was written is safe in the cluster."""
        super().flush()
        if self._written:
            self.image.flush()
            self._written = False

    def close(self) -> None:
        """Flushes and closes; with `rbd.open`, the image too. Twice is no error."""
        if self.closed:
            return
        try:
            super().close()
        finally:
            if self._ahead is not None:
                self._ahead.forget()
            if self._owned:
                self.image.close()


# The buffers of the standard library write to the raw file, but do not flush that.
class _BufferedWriter(io.BufferedWriter):
    def flush(self) -> None:
        super().flush()
        self.raw.flush()


class _BufferedRandom(io.BufferedRandom):
    def flush(self) -> None:
        super().flush()
        self.raw.flush()


AnyFile = Union[ImageFile, io.BufferedReader, io.BufferedWriter, io.BufferedRandom]


def _check_mode(mode: str, allowed: Tuple[str, ...]) -> str:
    """The mode as the io module spells it. Raises ValueError."""
    if not isinstance(mode, str):
        raise TypeError(f"mode must be str, not {type(mode).__name__}")
    letters = "".join(sorted(mode))
    known = {"br": "rb", "+br": "rb+", "bx": "xb", "+bx": "xb+"}.get(letters)
    if known in allowed:
        return known
    if set(letters) in ({"b", "w"}, {"b", "w", "+"}):
        raise ValueError(
            f"mode {mode!r} would empty the image first, which has a size of its own: "
            "'xb' makes a new image, 'r+b' writes over one that exists"
        )
    raise ValueError(f"mode {mode!r} is none of {', '.join(map(repr, allowed))}")


def _check_buffering(buffering: int) -> int:
    if not isinstance(buffering, int):
        raise TypeError(f"buffering must be int, not {type(buffering).__name__}")
    # One is for lines of text; open() too takes the usual size for it.
    return _BUFFER_BYTES if buffering < 0 or buffering == 1 else buffering


def _buffered(raw: ImageFile, size: int) -> AnyFile:
    if size == 0:
        return raw
    if not raw.writable():
        return io.BufferedReader(raw, size)
    if raw.readable():
        return _BufferedRandom(raw, size)
    return _BufferedWriter(raw, size)


def _open_image(image: Image, mode: str, buffering: int) -> AnyFile:
    """What Image.open_file does."""
    mode = _check_mode(mode, ("rb", "rb+"))
    size = _check_buffering(buffering)
    image.require_not_closed()
    pool, space, name, image_id, snapshot, read_only, *_ = image._address()
    spec = ImageSpec(pool or "", name, space, snapshot, image_id=image_id)
    if "+" in mode and (read_only or snapshot is not None):
        raise exceptions.ReadOnlyImage(f"{spec} is open read-only", errno=errno.EROFS)
    return _buffered(ImageFile(image, mode, str(spec), readahead=size > 0), size)


def open(
    spec: str,
    mode: str = "rb",
    *,
    size: Optional[int] = None,
    buffering: int = -1,
    cluster: Any = None,
) -> AnyFile:
    """Opens an image as a binary file, by its address "pool[/namespace]/image[@snapshot]".

    mode: 'rb', 'r+b', or 'xb' and 'x+b', which create an image of `size` bytes and fail where there
    is one. buffering: 0 for a raw file, else the size of the buffer in bytes; -1 for a buffered
    file that reads ahead. cluster: a connected Rados; by default the configuration is searched as
    librados does, and the connection shared by all that this process opens so. Raises ValueError,
    ImageNotFound, ImageExists, ReadOnlyImage.
    """
    mode = _check_mode(mode, ("rb", "rb+", "xb", "xb+"))
    buffer_size = _check_buffering(buffering)
    where = ImageSpec.parse(spec)
    creates = "x" in mode
    if creates != (size is not None):
        raise ValueError("size must be given" if creates else f"mode {mode!r} takes no size")
    if size is not None:
        if where.snapshot is not None:
            raise ValueError(f"{spec!r} is a snapshot, which mode {mode!r} cannot make")
        with open_ioctx(where, cluster) as ioctx:
            assert where.image is not None, "an address in words has a name"
            RBD().create(ioctx, where.image, size)
    image = open_spec(where, read_only=mode == "rb", cluster=cluster)
    raw = ImageFile(image, mode, str(where), owned=True, readahead=buffer_size > 0)
    return _buffered(raw, buffer_size)
