"""Images as binary files: `rbd.open` by address, `Image.open_file` over an open image."""

from __future__ import annotations

import builtins
import errno
import io
import operator
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union

from . import exceptions
from ._core import RBD, Image
from ._opened import Opened, SnapshotCheck
from .spec import ImageSpec, open_ioctx, open_spec

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["EndOfImage", "ImageFile", "ResizedMeanwhile", "open"]

# The number of bytes that a buffered file reads at once. It is small, so that a jump wastes little.
_BUFFER_BYTES = 64 << 10
# The most bytes that a file reads ahead of a program that reads in order.
_READAHEAD_BYTES = 4 << 20
_READAHEAD_START = 256 << 10
# A write beyond the end of a growing file enlarges the image by its present size, within these
# bounds in bytes.
_GROWTH_LEAST = 4 << 20
_GROWTH_MOST = 1 << 30

_open_files: weakref.WeakSet[ImageFile] = weakref.WeakSet()


def _after_fork() -> None:
    # The threads that held the locks do not exist in the child.
    for file in _open_files:
        file._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class EndOfImage(exceptions.NoSpace, builtins.OSError):
    """A write began at or beyond the end of a file that does not grow (ENOSPC).

    `ImageFile.truncate` makes the file larger.
    """


class ResizedMeanwhile(exceptions.ImageBusy, builtins.OSError):
    """A growing file whose image something else has resized (EBUSY).

    Only one file at a time may grow an image. The file writes nothing more, and does not cut what
    another program has written.
    """


class _Readahead:
    """A piece of the image that was read before the program asked for it."""

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

    The file is as long as the image. A read or a write across the end is short; a write that begins
    at or beyond the end raises `EndOfImage`. `truncate` resizes the image. `flush` returns once all
    written data is safe in the cluster. The file has no file descriptor.

    A write at or beyond the end of a `growing` file makes the file longer. The image is enlarged in
    steps, and gets the size of the file when the file is flushed, truncated or closed.

    Parameters
    ----------
    image
        The open image.
    mode
        The mode, as `open` takes it.
    name
        The name of the file.
    owned
        Whether `close` closes the image too.
    readahead
        Whether to read ahead of a program that reads in order.
    growing
        Whether the file is a growing one.
    spec
        The address of the image, if it is known.
    """

    def __init__(
        self,
        image: Image,
        mode: str,
        name: str,
        *,
        owned: bool = False,
        readahead: bool = False,
        growing: bool = False,
        spec: Optional[ImageSpec] = None,
    ) -> None:
        super().__init__()
        self._spec = spec
        self.image = image
        self.name = name
        self.mode = mode
        self._readable = "r" in mode or "+" in mode
        self._writable = "r" not in mode or "+" in mode
        self._owned = owned
        self._position = 0
        self._written = False
        self._appends = "a" in mode
        # The length of a growing file, which may be less than the size of its image. None means
        # that the length is the size of the image.
        self._length: Optional[int] = None
        self._allocated = 0
        # The sizes that this file has given the image. There are two after a failed resize.
        self._own_sizes = {0}
        self._ahead = _Readahead() if readahead and self._readable else None
        self._lock = threading.RLock()
        _open_files.add(self)
        self._snapshot = SnapshotCheck(None)
        # A file whose making fails here is closed like others.
        if growing:
            self._length = self._allocated = image.size()
            self._own_sizes = {self._allocated}
        self._snapshot = SnapshotCheck(image)

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<rbd.files.ImageFile {self.name!r} mode={self.mode!r}{state}>"

    def _require(self, able: bool, what: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not able:
            raise io.UnsupportedOperation(f"the file is not {what}")

    @property
    def growing(self) -> bool:
        """Whether a write beyond the end makes the file longer."""
        return self._length is not None

    def _end(self) -> int:
        return self.image.size() if self._length is None else self._length

    def __reduce_ex__(self, protocol: Any) -> Tuple[Any, ...]:
        return _pickled(self, 0)

    def readable(self) -> bool:
        """Return whether the file can be read."""
        return self._readable

    def writable(self) -> bool:
        """Return whether the file can be written."""
        return self._writable

    def seekable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Raise an exception, because an image has no file descriptor.

        Raises
        ------
        io.UnsupportedOperation
            Always.
        """
        raise io.UnsupportedOperation("an image has no file descriptor")

    def isatty(self) -> bool:
        """Return False."""
        return False

    def tell(self) -> int:
        """Return the position in bytes."""
        self._require(True, "open")
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position.

        Parameters
        ----------
        offset
            The distance in bytes.
        whence
            From where: 0 for the beginning, 1 for the position, 2 for the end of the file.

        Returns
        -------
        The new position in bytes.

        Raises
        ------
        ValueError
            The position would be negative, or there is no such `whence`.
        """
        self._require(True, "open")
        offset = operator.index(offset)
        if whence == os.SEEK_SET:
            position = offset
        elif whence == os.SEEK_CUR:
            position = self._position + offset
        elif whence == os.SEEK_END:
            position = self._end() + offset
        else:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from the position into a buffer, and move the position.

        Parameters
        ----------
        buffer
            A writable buffer. Its size is the number of bytes to read at most.

        Returns
        -------
        The number of bytes read, 0 at the end of the file.

        Raises
        ------
        ImageNotFound
            The snapshot at which the image is open was removed.
        io.UnsupportedOperation
            The mode does not read.
        """
        self._require(self._readable, "readable")
        with memoryview(buffer) as whole, whole.cast("B") as view, self._lock:
            there = self._end() - self._position
            if not len(view):
                return 0
            if there <= 0:
                self._snapshot.now()
                return 0
            with view[:there] as wanted:
                if self._ahead is None:
                    done = self.image.readinto(wanted, self._position)
                else:
                    done = self._read_ahead(self._ahead, wanted, there)
            self._snapshot.after_read()
            self._position += done
            return int(done)

    def _read_ahead(self, ahead: _Readahead, wanted: memoryview, there: int) -> int:
        position = self._position
        at = position - ahead.start
        if not 0 <= at < len(ahead.data):
            if position != ahead.next or len(wanted) >= _READAHEAD_BYTES:
                # The program has jumped, or the read is large enough already.
                ahead.forget()
                done = self.image.readinto(wanted, position)
                ahead.next = position + done
                return int(done)
            # The distance doubles each time that the program reads on.
            ahead.size = min(max(2 * ahead.size, _READAHEAD_START), _READAHEAD_BYTES)
            piece = bytearray(min(max(ahead.size, len(wanted)), there))
            done = self.image.readinto(piece, position)
            ahead.start, ahead.data, at = position, memoryview(piece)[:done], 0
        part = ahead.data[at : at + len(wanted)]
        wanted[: len(part)] = part
        ahead.next = position + len(part)
        return len(part)

    def readall(self) -> bytes:
        """Read everything from the position to the end of the file.

        Returns
        -------
        The data.

        Raises
        ------
        ImageNotFound
            The snapshot at which the image is open was removed.
        io.UnsupportedOperation
            The mode does not read.
        """
        self._require(self._readable, "readable")
        with self._lock:
            there = self._end() - self._position
            data = self.image.read(self._position, there) if there > 0 else b""
            self._snapshot.now()
            self._position += len(data)
            return data

    def write(self, data: ReadableBuffer, /) -> int:
        """Write at the position, or at the end in a mode that appends, and move the position.

        Parameters
        ----------
        data
            The data: any C-contiguous buffer.

        Returns
        -------
        The number of bytes written, fewer than `data` has if the file ends and does not grow.

        Raises
        ------
        EndOfImage
            The file does not grow, and the position is at its end or beyond.
        io.UnsupportedOperation
            The mode does not write.
        """
        self._require(self._writable, "writable")
        with memoryview(data) as whole, whole.cast("B") as view, self._lock:
            if not len(view):
                return 0
            if self.growing:
                self._check_alone()
            if self._appends:
                self._position = self._end()
            there = len(view) if self.growing else self._end() - self._position
            if there <= 0:
                raise EndOfImage(
                    f"{self.name!r} ends at {self._position + there}, before {self._position}",
                    errno=errno.ENOSPC,
                )
            if self._ahead is not None:
                self._ahead.forget()
            self._written = True
            self._reserve(self._position + len(view))
            with view[:there] as part:
                done = self.image.write(part, self._position)
            self._position += done
            if self._length is not None:
                self._length = max(self._length, self._position)
            return int(done)

    def _check_alone(self) -> None:
        """Check that nobody else has resized the image under a growing file."""
        size = self.image.size()
        if self._length is not None and size not in self._own_sizes:
            raise ResizedMeanwhile(
                f"the image of the growing file {self.name!r} was resized from {self._allocated} "
                f"to {size} bytes by something else than the file, which is {self._length} bytes "
                "long; open the file again",
                errno=errno.EBUSY,
            )

    def _reserve(self, end: int) -> None:
        """Enlarge the image under a growing file to at least `end` bytes."""
        if self._length is None or end <= self._allocated:
            return
        step = min(max(self._allocated, _GROWTH_LEAST), _GROWTH_MOST)
        self._resize(max(end, self._allocated + step))

    def _resize(self, size: int) -> None:
        """Resize the image under a growing file."""
        if self._own_sizes == {size}:
            return
        self._own_sizes.add(size)
        self.image.resize(size)
        self._own_sizes = {size}
        self._allocated = size

    def truncate(self, size: Optional[int] = None, /) -> int:
        """Resize the file and its image.

        Parameters
        ----------
        size
            The new size in bytes; None means the position.

        Returns
        -------
        The new size.

        Raises
        ------
        ValueError
            `size` is negative.
        io.UnsupportedOperation
            The mode does not write.
        """
        self._require(self._writable, "writable")
        with self._lock:
            size = self._position if size is None else operator.index(size)
            if size < 0:
                raise ValueError(f"negative size {size}")
            if self._ahead is not None:
                self._ahead.forget()
            if self.growing:
                self._check_alone()
                self._resize(size)
                self._length = size
            elif size != self.image.size():
                self.image.resize(size)
            return size

    def flush(self) -> None:
        """Wait until everything written is safe in the cluster."""
        super().flush()
        with self._lock:
            if self._written:
                self.image.flush()
                self._written = False
            if self._length is not None and self._own_sizes != {self._length}:
                # Another file may have written where this one would cut the image.
                self._check_alone()
                self._resize(self._length)

    def close(self) -> None:
        """Flush and close the file, and the image if `rbd.open` opened it.

        Closing twice does nothing.

        Raises
        ------
        ImageNotFound
            The snapshot that was read was removed. What was read since may be zeroes.
        """
        if self.closed:
            return
        try:
            super().close()
            self._snapshot.at_end()
        finally:
            if self._ahead is not None:
                self._ahead.forget()
            if self._owned:
                self.image.close()


class _ByAddress:
    """A buffered file that pickles as the address of its image and its position."""

    buffer_size = _BUFFER_BYTES

    def __reduce_ex__(self: Any, protocol: Any) -> Tuple[Any, ...]:
        self.flush()
        return _pickled(self.raw, self.buffer_size, self.tell())


class _BufferedReader(_ByAddress, io.BufferedReader):
    @property
    def size(self) -> int:
        """The length of the file in bytes. fsspec uses this name."""
        raw: Any = self.raw
        return int(raw._end())


# The buffered files of the standard library write to the raw file, but do not flush it.
class _BufferedWriter(_ByAddress, io.BufferedWriter):
    @property
    def name(self) -> str:
        # pandas before 3 writes to the local file that has the name of a BufferedWriter.
        raise AttributeError("a file that is open only for writing has no name; use file.raw.name")

    def flush(self) -> None:
        super().flush()
        self.raw.flush()


class _BufferedRandom(_ByAddress, io.BufferedRandom):
    _unflushed = False

    def write(self, data: ReadableBuffer, /) -> int:
        self._unflushed = True
        return super().write(data)

    def read1(self, size: int = -1, /) -> bytes:
        # The standard library's method reads old data from the image while new data is in the
        # buffer.
        if self._unflushed:
            super().flush()
            self._unflushed = False
        return super().read1(size)

    def flush(self) -> None:
        super().flush()
        self.raw.flush()


AnyFile = Union[ImageFile, io.BufferedReader, io.BufferedWriter, io.BufferedRandom]


def _pickled(raw: Any, buffer_size: int, position: Optional[int] = None) -> Tuple[Any, ...]:
    position = raw.tell() if position is None else position
    raw.flush()
    # Opening the file again must not create or empty the image again.
    mode = raw.mode if raw.mode in ("rb", "ab", "ab+") else "rb+"
    spec = ImageSpec.of(raw.image, raw._spec)
    return _reopen, (spec, mode, raw.growing, buffer_size, position)


def _reopen(spec: ImageSpec, mode: str, growing: bool, buffer_size: int, position: int) -> AnyFile:
    image = open_spec(spec, read_only=mode == "rb")
    file = _file(image, mode, spec, growing, buffer_size, owned=True)
    file.seek(position)
    return file


_MODES = {
    "br": "rb",
    "+br": "rb+",
    "bx": "xb",
    "+bx": "xb+",
    "bw": "wb",
    "+bw": "wb+",
    "ab": "ab",
    "+ab": "ab+",
}


def _check_mode(mode: str, allowed: str) -> str:
    """Return the mode as the io module spells it. Its first letter must be allowed. Raises
    ValueError."""
    if not isinstance(mode, str):
        raise TypeError(f"mode must be str, not {type(mode).__name__}")
    known = _MODES.get("".join(sorted(mode)))
    if known is None or known[0] not in allowed:
        modes = [spelled for spelled in _MODES.values() if spelled[0] in allowed]
        raise ValueError(f"mode must be one of {', '.join(map(repr, modes))}, not {mode!r}")
    return known


def _check_growing(mode: str, growing: Optional[bool], size: Optional[int] = None) -> bool:
    """Return whether a file of that mode grows. Raises ValueError."""
    if growing is None:
        return mode[0] in "wa" or (mode[0] == "x" and size is None)
    if growing and mode == "rb":
        raise ValueError("growing must not be True with mode 'rb', which does not write")
    if not growing and mode[0] in "wa":
        raise ValueError(
            f"mode {mode!r} changes the size of the image, so growing must not be False: "
            "use 'r+b' to write without changing the size"
        )
    return bool(growing)


def _check_buffering(buffering: int) -> int:
    if not isinstance(buffering, int):
        raise TypeError(f"buffering must be int, not {type(buffering).__name__}")
    # 1 requests lines of text. The builtin open() uses the default size for it too.
    return _BUFFER_BYTES if buffering < 0 or buffering == 1 else buffering


def _buffered(raw: ImageFile, size: int) -> AnyFile:
    if size == 0:
        return raw
    kind: Any = _BufferedWriter
    if raw.readable():
        kind = _BufferedRandom if raw.writable() else _BufferedReader
    file: AnyFile = kind(raw, size)
    file.buffer_size = size  # type: ignore[union-attr]
    return file


def _file(
    image: Image, mode: str, spec: ImageSpec, growing: bool, size: int, *, owned: bool
) -> AnyFile:
    """Return a file over an image. An `owned` image is closed with the file, or if this fails."""
    readahead = size > 0
    try:
        raw = ImageFile(
            image, mode, str(spec), owned=owned, readahead=readahead, growing=growing, spec=spec
        )
        if mode[0] == "w":
            raw.truncate(0)
        elif mode[0] == "a":
            raw.seek(0, os.SEEK_END)
    except BaseException:
        if owned:
            image.close()
        raise
    return _buffered(raw, size)


def _open_image(image: Image, mode: str, buffering: int, growing: Optional[bool] = None) -> AnyFile:
    """Implement Image.open_file."""
    mode = _check_mode(mode, "rwa")
    size = _check_buffering(buffering)
    grows = _check_growing(mode, growing)
    image.require_not_closed()
    opened = Opened.of(image)
    spec = ImageSpec(
        opened.pool,
        opened.name,
        opened.namespace,
        None if opened.snapshot is None else str(opened.snapshot),
        image_id=opened.image_id,
    )
    if mode != "rb" and not opened.writable:
        raise exceptions.ReadOnlyImage(f"{spec} is open read-only", errno=errno.EROFS)
    return _file(image, mode, spec, grows, size, owned=False)


def open(
    spec: str,
    mode: str = "rb",
    *,
    size: Optional[int] = None,
    buffering: int = -1,
    cluster: Any = None,
    growing: Optional[bool] = None,
) -> AnyFile:
    """Open an image as a binary file, by its address.

    Parameters
    ----------
    spec
        The address: "pool[/namespace]/image[@snapshot]".
    mode
        'rb' and 'r+b' for an image that exists; 'xb' and 'x+b' to create one, which must not
        exist; 'wb' and 'w+b' to empty one, or to create it; 'ab' and 'a+b' to write at the end
        of one, or to create it.
    size
        The size in bytes of an image that 'xb' or 'x+b' creates.
    buffering
        0 for a raw file; otherwise the size of the buffer in bytes; -1 for a buffered file that
        reads ahead.
    cluster
        A connected `rbd.rados.Rados`. None searches for a configuration as librados does, and
        shares one connection among all files that this process opens in this way.
    growing
        Whether a write past the end makes the file and the image longer. None means yes in the
        modes 'w' and 'a', and in 'x' without a size.

    Returns
    -------
    The file.

    Raises
    ------
    ValueError
        `spec` is not an address, or `mode` is not a mode.
    ImageNotFound
        There is no such image. `rbd.spec.PoolNotFound` and `rbd.spec.SnapshotNotFound`, which
        derive from it, mean that there is no such pool or snapshot.
    ImageExists
        The mode is 'xb' or 'x+b', and there is such an image.
    ReadOnlyImage
        The mode writes, and the address names a snapshot.

    Examples
    --------
    >>> with rbd.open("rbd/disk1", "r+b") as file:
    ...     print(file.write(b"hello"))
    5
    """
    _check_mode(mode, "rwxa")
    return open_file(
        ImageSpec.parse(spec),
        mode,
        size=size,
        buffering=buffering,
        cluster=cluster,
        growing=growing,
    )


def open_file(
    where: ImageSpec,
    mode: str,
    *,
    size: Optional[int] = None,
    buffering: int = -1,
    cluster: Any = None,
    growing: Optional[bool] = None,
) -> AnyFile:
    """Open an image as open() does, by a parsed address."""
    mode = _check_mode(mode, "rwxa")
    buffer_size = _check_buffering(buffering)
    grows = _check_growing(mode, growing, size)
    if size is not None and mode[0] != "x":
        raise ValueError(f"size must not be given with mode {mode!r}")
    if size is None and mode[0] == "x" and not grows:
        raise ValueError(f"size must be given with mode {mode!r}, unless the file grows")
    if where.snapshot is not None and mode != "rb":
        if mode[0] == "x":
            raise ValueError(f"{str(where)!r} is a snapshot, which mode {mode!r} cannot create")
        raise exceptions.ReadOnlyImage(f"{where} is a snapshot", errno=errno.EROFS)
    if mode[0] != "r":
        with open_ioctx(where, cluster) as ioctx:
            assert where.image is not None, "an address in words has a name"
            try:
                RBD().create(ioctx, where.image, size or 0)
            except exceptions.ImageExists:
                if mode[0] == "x":
                    raise
    image = open_spec(where, read_only=mode == "rb", cluster=cluster)
    return _file(image, mode, where, grows, buffer_size, owned=True)
