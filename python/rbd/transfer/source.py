"""The source of a stream: a path, a descriptor or a binary file object."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
from types import TracebackType

from .. import exceptions
from .arguments import Digests, check_stream, unwrapped
from .named_file import own_descriptor

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple, Type, Union

    StreamArgument = Union[str, bytes, os.PathLike[str], os.PathLike[bytes], int, Any]

_BUFFER_BYTES = 512 << 10
# Shorter reads go through the buffer.
_SMALL_READ = 64 << 10
# The number of bytes to read ahead after data that was read ahead has been skipped.
_SHORT_BYTES = 4 << 10
# The capacity of a pipe in bytes, and Linux's number of the call that sets it: fewer switches
# between processes.
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_F_GETPIPE_SZ = 1032
_SKIP_BYTES = 1 << 20

_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def real_file(obj: Any) -> Optional[int]:
    """Return the descriptor of a file object that stands for a regular file and nothing else.

    A class that wraps or derives from a file may change what is read and written: a GzipFile in a
    BufferedReader has the descriptor of the compressed file. Only the exact classes of files do
    not.
    """
    try:
        raw = obj.raw if type(obj) in _BUFFERED else obj
        if type(raw) is not io.FileIO:
            return None
        fd = raw.fileno()
        return fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except (OSError, ValueError):  # closed or detached
        return None


def _open(path: Any) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        # The path is that of a socket in /proc, which cannot be opened again.
        shared = own_descriptor(path) if error.errno == errno.ENXIO else None
        if shared is None:
            raise
        return os.dup(shared)


class Source:
    """Reads a stream, counts its bytes, and hashes them on request.

    `position` counts from the stream's beginning. A source that cannot be sought is never read
    beyond the end of the stream, so that what follows it is still there. A stream that ends too
    early raises a StreamError.
    """

    def __init__(
        self, source: StreamArgument, checksum: Optional[str] = None, expected: Any = None
    ) -> None:
        check_stream("source", source, "read")
        self.digests = Digests(checksum, expected)
        self.position = 0
        # A file that gets a copy of what is read.
        self.copy: Any = None
        self._object: Any = None
        self._fd = -1
        self._owned = False
        self._buffer = memoryview(b"")
        self._buffer_at = 0
        self._space: Optional[memoryview] = None
        # Whether bytes can be read from any position, as from a regular file.
        self.seekable = False
        self.base = 0
        self.size: Optional[int] = None
        if isinstance(source, int):
            self._fd = source
            self._use_descriptor(None)
        elif isinstance(source, (str, bytes)) or hasattr(source, "__fspath__"):
            self._fd = _open(os.fspath(source))
            self._owned = True
            self._use_descriptor(0)
        else:
            self._object = unwrapped(source)
            fd = real_file(self._object)
            if fd is not None:
                self._fd = fd
                self._use_descriptor(self._object.tell())

    def _use_descriptor(self, base: Optional[int]) -> None:
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISDIR(mode):
            self.close()
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISFIFO(mode):
            with contextlib.suppress(OSError):
                if fcntl.fcntl(self._fd, _F_GETPIPE_SZ) < _PIPE_BYTES:
                    fcntl.fcntl(self._fd, _F_SETPIPE_SZ, _PIPE_BYTES)
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            return
        self.base = os.lseek(self._fd, 0, os.SEEK_CUR) if base is None else base
        here = os.lseek(self._fd, 0, os.SEEK_CUR)
        end = os.lseek(self._fd, 0, os.SEEK_END)
        os.lseek(self._fd, here, os.SEEK_SET)
        self.size = max(end - self.base, 0)
        self.seekable = True

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            self.close()
        except Exception:
            # The body's exception says more than a failed close.
            if error is None:
                raise

    def close(self) -> None:
        """Close the source. The caller's descriptor or file is left at the end of the stream."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._owned:
            os.close(fd)
        elif self._object is not None:
            self._object.seek(self.base + self.position)
        elif self.seekable:
            os.lseek(fd, self.base + self.position, os.SEEK_SET)

    @property
    def owned(self) -> bool:
        """Whether the source was given by its path."""
        return self._owned

    @property
    def fd(self) -> int:
        """The descriptor of a source that is seekable."""
        return self._fd

    @property
    def skips(self) -> bool:
        """Whether data can be skipped without reading it."""
        return self.seekable and not self.digests and self.size is not None

    @property
    def checksum(self) -> Optional[str]:
        """The digest of what was read, in hexadecimal, if it was requested."""
        return self.digests.checksum

    def check_digest(self) -> None:
        """Check that what was read is the expected stream. Raises StreamError."""
        self.digests.check(self.position)

    def _read_some(self, view: memoryview) -> int:
        """Read the next data into the view. Return the number of bytes, 0 at the end. Counts and
        hashes nothing."""
        if self.seekable:
            return os.preadv(self._fd, [view], self.base + self.position)
        if self._fd >= 0:
            return os.readv(self._fd, [view])
        if hasattr(self._object, "readinto"):
            done = self._object.readinto(view)
        else:
            data = self._object.read(len(view))
            if not isinstance(data, (bytes, bytearray, memoryview, type(None))):
                raise TypeError(f"read() of the source returned {type(data).__name__}, not bytes")
            done = None if data is None else len(data)
            if data and len(data) <= len(view):
                view[: len(data)] = data
        if done is None:
            raise BlockingIOError(errno.EAGAIN, "the source is in non-blocking mode")
        done = int(done)
        if not 0 <= done <= len(view):
            raise ValueError(f"the source returned {done} bytes, not at most {len(view)}")
        return done

    def readinto(self, view: memoryview) -> int:
        """Read into the view until it is full or the stream ends. Return the number of bytes."""
        done = 0
        while done < len(view):
            at = self.position - self._buffer_at
            if 0 <= at < len(self._buffer):
                part = self._buffer[at : at + len(view) - done]
                view[done : done + len(part)] = part
                count = len(part)
            elif len(view) - done < _SMALL_READ and (self.seekable or self._owned):
                self._read_ahead(0)
                if not len(self._buffer):
                    break
                continue
            else:
                count = self._read_some(view[done:])
                if count == 0:
                    break
            if self.digests:
                self.digests.update(view[done : done + count])
            if self.copy is not None:
                self.copy.write(view[done : done + count])
            done += count
            self.position += count
        return done

    def _read_ahead(self, kept: int) -> None:
        """Read ahead after the next `kept` bytes, which are in the buffer."""
        if self._space is None:
            self._space = memoryview(bytearray(_BUFFER_BYTES))
        at = self.position - self._buffer_at
        space = self._space[: _BUFFER_BYTES if at <= len(self._buffer) else _SHORT_BYTES]
        space[:kept] = bytes(self._buffer[at : at + kept])
        start, self.position = self.position, self.position + kept
        try:
            count = self._read_some(space[kept:])
        finally:
            self.position = start
        self._buffer, self._buffer_at = self._space[: kept + count], start

    def ahead(self) -> memoryview:
        """Return the next data, as far as it may be read ahead; see consume().

        It is empty for a pipe or an object, because what follows the stream must stay there.
        """
        at = self.position - self._buffer_at
        kept = len(self._buffer) - at if 0 <= at <= len(self._buffer) else 0
        if kept < _BUFFER_BYTES // 4 and (self.seekable or self._owned):
            self._read_ahead(kept)
            return self._buffer
        return self._buffer[at : at + kept]

    def consume(self, length: int) -> None:
        """Skip the first `length` bytes of what ahead() returned, which have been used."""
        at = self.position - self._buffer_at
        if self.digests:
            self.digests.update(self._buffer[at : at + length])
        if self.copy is not None:
            self.copy.write(self._buffer[at : at + length])
        self.position += length

    def read(self, length: int) -> bytes:
        """Return up to `length` bytes, fewer only at the end of the stream."""
        space = bytearray(length)
        with memoryview(space) as view:
            done = self.readinto(view)
        return bytes(space[:done])

    def truncated(self) -> exceptions.StreamError:
        """Return the error for a stream that ends here, too early."""
        return exceptions.StreamError(
            f"the stream is truncated: it ends at byte {self.position}", self.position
        )

    def readinto_exact(self, view: memoryview) -> None:
        """Fill the view. Raises StreamError if the stream ends before."""
        if self.readinto(view) != len(view):
            raise self.truncated()

    def read_exact(self, length: int) -> bytes:
        """Return exactly `length` bytes. Raises StreamError if the stream ends before."""
        if length <= _SKIP_BYTES:
            data = self.read(length)
            if len(data) != length:
                raise self.truncated()
            return data
        # A false length must not cost memory.
        parts = []
        while length > 0:
            parts.append(self.read_exact(min(length, _SKIP_BYTES)))
            length -= len(parts[-1])
        return b"".join(parts)

    def skip(self, length: int) -> None:
        """Skip `length` bytes. Raises StreamError if the stream ends before."""
        if self.skips and self.size is not None:
            if length > self.size - self.position:
                self.position = max(self.position, self.size)
                raise self.truncated()
            self.position += length
            return
        with memoryview(bytearray(min(length, _SKIP_BYTES))) as space:
            while length > 0:
                part = min(length, len(space))
                self.readinto_exact(space[:part])
                length -= part

    def peek(self, length: int) -> bytes:
        """Return the next data, up to `length` bytes, without consuming it."""
        space = memoryview(bytearray(length))
        start, at = self.position, self.position - self._buffer_at
        found = self._buffer[at : at + length] if at >= 0 else self._buffer[:0]
        done = len(found)
        space[:done] = found
        self.position += done
        while done < length:
            count = self._read_some(space[done:])
            if count == 0:
                break
            done += count
            self.position += count
        self.position = start
        self._buffer, self._buffer_at = space[:done], start
        return bytes(space[:done])

    def find_data(self, position: int) -> Optional[Tuple[int, int]]:
        """Return the next (start, end) from a position on that is not a hole. The source is
        seekable."""
        if self.size is None or position >= self.size:
            return None
        try:
            start = os.lseek(self._fd, self.base + position, os.SEEK_DATA)
            end = os.lseek(self._fd, start, os.SEEK_HOLE)
        except OSError as error:
            # ENXIO means a hole up to the end. A device does not know holes.
            return None if error.errno == errno.ENXIO else (position, self.size)
        return max(start - self.base, position), min(end - self.base, self.size)

    def check_end(self) -> None:
        """Check that nothing follows the stream in a regular file that was given by its path.

        Raises StreamError: the rest may be another stream, which would be lost.
        """
        if not self._owned or self.size is None or self.position >= self.size:
            return
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise exceptions.StreamError(
                f"more data after the end at byte {self.position} of the stream", self.position
            )

    def check_length(self) -> None:
        """Check that a seekable source still ends where it did. Raises StreamError.

        What a file has lost looks like a hole to find_data().
        """
        if self.seekable and self.size is not None:
            end = max(os.lseek(self._fd, 0, os.SEEK_END) - self.base, 0)
            if end < self.size:
                self.position = end
                raise self.truncated()

    def mark(self) -> Tuple[int, Digests]:
        """Return the state of a seekable source, for rewind().

        Data read until then is hashed only if a digest is expected.
        """
        digests = self.digests
        self.digests = digests.copy() if digests.expects else Digests(None)
        return self.position, digests

    def rewind(self, mark: Tuple[int, Digests]) -> None:
        """Return to the state of mark(), and forget what has been hashed since."""
        self.position, self.digests = mark
