"""The destination of a stream: a path, a descriptor or a binary file object."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from types import TracebackType

from .arguments import Digests, check_stream, unwrapped
from .named_file import NamedFile
from .source import Source, real_file

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, NoReturn, Optional, Type, Union

    from .source import StreamArgument

    Buffer = Union[bytes, memoryview]

_ZEROES = memoryview(bytes(1 << 20))
# The most buffers that the system takes in one call.
_VECTORS = 512
# The most bytes that the system copies from file to file in one call, and that this module does.
_SYSTEM_COPY_BYTES = 16 << 20
_COPY_BYTES = 1 << 20
# File systems share whole blocks of so many bytes, if they share any.
_BLOCK_BYTES = 4096


class Sink:
    """Writes a stream, counts its bytes, and hashes them on request.

    A stream to a path is written to a file under another name. That file replaces the old one when
    the stream is complete, and is removed if it is not. A path to another kind of file is written
    in place. Holes are left only in a file that had no data there. An error of writing contains the
    position.
    """

    def __init__(
        self,
        dest: StreamArgument,
        checksum: Optional[str] = None,
        fsync: bool = True,
        expected: Any = None,
    ) -> None:
        check_stream("dest", dest, "write")
        self.digests = Digests(checksum, expected)
        self.position = 0
        self._object: Any = None
        self._fd = -1
        self._named: Optional[NamedFile] = None
        self._fsync = fsync
        self._base = 0
        self._sparse = False
        self._hole = False
        self._is_file = False
        self._has_device = False
        self._space: Optional[memoryview] = None
        if isinstance(dest, int):
            self._use_descriptor(dest)
        elif isinstance(dest, (str, bytes)) or hasattr(dest, "__fspath__"):
            self._named = NamedFile(os.fspath(dest))
            try:
                self._use_descriptor(self._named.fd)
            except BaseException:
                self._named.discard()
                raise
        else:
            self._object = unwrapped(dest)
            fd = real_file(self._object)
            if fd is not None:
                self._object.flush()
                self._fd = fd
                self._use_file(self._object.tell())

    def _use_descriptor(self, fd: int) -> None:
        self._fd = fd
        if stat.S_ISREG(os.fstat(fd).st_mode):
            self._use_file(os.lseek(fd, 0, os.SEEK_CUR))

    def _use_file(self, base: int) -> None:
        self._is_file = True
        self._base = base
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        appends = bool(flags & os.O_APPEND)
        if appends:
            self._base = os.lseek(self._fd, 0, os.SEEK_END)
        # A hole is only certain to read as zeroes after the end of the file.
        state = os.fstat(self._fd)
        self._sparse = not appends and state.st_size <= base
        self._has_device = os.major(state.st_dev) != 0
        if not appends:
            os.lseek(self._fd, base, os.SEEK_SET)

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException:
                self._abandon()
                raise
        else:
            self._abandon()

    @property
    def checksum(self) -> Optional[str]:
        """The digest of the written data, in hexadecimal, if it was requested."""
        return self.digests.checksum

    def _fail(self, error: OSError) -> NoReturn:
        """Raise an error of writing again, with the position in its text."""
        reason = error.strerror or str(error)
        told = OSError(error.errno, f"{reason} (writing at byte {self.position} of the stream)")
        told.position = self.position  # type: ignore[attr-defined]
        raise told from error

    def write(self, *parts: Buffer) -> None:
        """Write the parts in order. The caller may reuse their memory on return."""
        if self.digests:
            for part in parts:
                self.digests.update(part)
        if self._fd < 0:
            self._write_object(parts)
            return
        self._fill_hole()
        left: List[Buffer] = [part for part in parts if len(part)]
        while left:
            try:
                if len(left) == 1:
                    done = os.write(self._fd, left[0])
                else:
                    done = os.writev(self._fd, left[:_VECTORS])
            except OSError as error:
                self._fail(error)
            self.position += done
            first = 0
            while first < len(left) and done >= len(left[first]):
                done -= len(left[first])
                first += 1
            del left[:first]
            if done:
                left[0] = memoryview(left[0])[done:]

    def _write_object(self, parts: Any) -> None:
        for part in parts:
            # Not the view, because a file object may keep it, and the memory will be reused.
            data = part if isinstance(part, bytes) else bytes(part)
            done = 0
            while done < len(data):
                try:
                    count = self._object.write(data if done == 0 else data[done:])
                except OSError as error:
                    self._fail(error)
                if count is None and isinstance(self._object, io.RawIOBase):
                    self._fail(BlockingIOError(errno.EAGAIN, "the destination would block"))
                # Some writers return None, which means that all data was written.
                count = len(data) - done if count is None else int(count)
                if not 0 < count <= len(data) - done:
                    self._fail(
                        OSError(
                            errno.EIO,
                            f"the destination reports {count} bytes written of {len(data) - done}",
                        )
                    )
                done += count
                self.position += count

    def copy(self, source: Source, position: int, length: int) -> None:
        """Write data of a source that can be sought. The source keeps its position."""
        done = self._copy_by_system(source, position, length)
        if done == length:
            return
        before, source.position = source.position, position + done
        if self._space is None:
            self._space = memoryview(bytearray(_COPY_BYTES))
        while done < length:
            part = self._space[: min(length - done, _COPY_BYTES)]
            source.readinto_exact(part)
            self.write(part)
            done += len(part)
        source.position = before

    def _system_copies(self, source: Source, position: int) -> bool:
        """Whether the file system may copy better than reads and writes do.

        It may share blocks, or, without a device of its own, let a server copy. Elsewhere the
        system copies page by page, which takes longer.
        """
        if not self._is_file or self.digests or source.digests:
            return False
        distance = source.base + position - self._base - self.position
        return distance % _BLOCK_BYTES == 0 or not self._has_device

    def _copy_by_system(self, source: Source, position: int, length: int) -> int:
        """Copy as much as the system can copy from file to file. Return the number of bytes."""
        done = 0
        if self._system_copies(source, position):
            self._fill_hole()
            while done < length:
                step = min(length - done, _SYSTEM_COPY_BYTES)
                start = source.base + position + done
                try:
                    count = os.copy_file_range(source.fd, self._fd, step, start)
                except (OSError, AttributeError):
                    # For example between two file systems. If there is a real fault, a write
                    # reports it.
                    break
                if count == 0:
                    break
                done += count
                self.position += count
        return done

    def hole(self, length: int) -> None:
        """Write `length` zeroes, as a hole if possible."""
        if self._sparse:
            if self.digests:
                left = length
                while left > 0:
                    self.digests.update(_ZEROES[:left])
                    left -= len(_ZEROES)
            self.position += length
            self._hole = True
            return
        while length > 0:
            part = _ZEROES[:length]
            self.write(part)
            length -= len(part)

    def _fill_hole(self) -> None:
        if self._hole:
            try:
                os.lseek(self._fd, self._base + self.position, os.SEEK_SET)
            except OSError as error:
                self._fail(error)
            self._hole = False

    def _finish(self) -> None:
        self.digests.check(self.position, "what was written")
        if self._fd < 0:
            if hasattr(self._object, "flush"):
                try:
                    self._object.flush()
                except OSError as error:
                    self._fail(error)
            return
        try:
            if self._hole:
                os.ftruncate(self._fd, self._base + self.position)
                self._fill_hole()
        except OSError as error:
            self._fail(error)
        if self._object is not None:
            self._object.seek(self._base + self.position)
        if self._named is not None:
            try:
                self._named.finish(self._fsync)
            except OSError as error:
                self._fail(error)

    def _abandon(self) -> None:
        if self._named is not None:
            self._named.discard()
