"""Applies differences to files on this machine, without a cluster."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from .. import exceptions
from . import formats
from .arguments import check_options, check_sparse_size, check_stream
from .named_file import directory_of, synchronize, synchronize_directory
from .progress import Progress
from .source import Source

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple

    from .progress import ProgressFunction
    from .source import StreamArgument

_COPY_BYTES = 1 << 20
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2
# The errors of the system for files that cannot have holes.
_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def apply_diff(
    source: StreamArgument,
    path: Any,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    expected: Optional[Tuple[str, str]] = None,
    sparse_size: int = 4096,
    fsync: bool = True,
) -> Optional[str]:
    """Apply a difference to a raw file, such as `export_image` writes, in place.

    The file gets the image's size. Nothing in a raw file says which snapshot it is of, so only
    the caller can know that the difference starts there.

    Parameters
    ----------
    source
        A path, a descriptor or a binary file object. If it can be sought, it is checked from
        end to end before the file is changed.
    path
        The path of the file or block device. A difference from the beginning of an image
        creates a file that does not exist.
    on_progress
        As in `export_image`.
    progress
        As in `export_image`.
    checksum
        As in `export_image`.
    expected
        The name of a hash, and the hexadecimal digest that the stream must have.
    sparse_size
        Zeroes become holes, and so do runs of so many zero bytes within data; 0 writes all
        data.
    fsync
        As in `export_image`.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    StreamError
        The stream is damaged, or its digest is not the expected one; `.position` says where.
    OperationCanceled
        `on_progress` stopped it.
    """
    check_stream("source", source, "read")
    if not isinstance(path, (str, bytes)) and not hasattr(path, "__fspath__"):
        raise TypeError(f"path must be a path, not {type(path).__name__}")
    check_options(checksum, on_progress, expected)
    check_sparse_size(sparse_size)
    with Source(source, checksum, expected) as stream:
        if stream.seekable:
            mark = stream.mark()
            formats.DiffReader(stream).skim()
            stream.check_end()
            stream.check_digest()
            stream.rewind(mark)
        reader = formats.DiffReader(stream)
        flags = os.O_RDWR | os.O_CLOEXEC
        if reader.header.from_snapshot is None:
            flags |= os.O_CREAT
        fd = os.open(path, flags, 0o666)
        directory = None
        try:
            if fsync:
                # The name may be as new as the file. The working directory may change meanwhile.
                directory = directory_of(path)
            with Progress(on_progress, progress, stream.size or 0, "apply-diff") as reporting:
                _apply(stream, reader, _RawFile(fd, sparse_size), reporting)
                reporting.update(stream.position, last=True)
            stream.check_digest()
            if fsync:
                synchronize(fd)
            if directory is not None:
                synchronize_directory(directory)
        finally:
            if directory is not None:
                os.close(directory)
            os.close(fd)
        return stream.checksum


def _apply(stream: Source, reader: formats.DiffReader, file: _RawFile, progress: Progress) -> None:
    if reader.header.size is not None:
        file.resize(reader.header.size)
    size = file.size
    with memoryview(bytearray(_COPY_BYTES)) as space:
        for extent in reader:
            offset, left = extent.offset, extent.length
            if offset + left > size:
                formats.damaged(
                    f"an extent {offset}~{left} beyond the file's {size} bytes", extent.position
                )
            if not extent.data:
                file.zero(offset, left)
                progress.update(stream.position)
                continue
            while left > 0:
                part = space[: min(left, len(space) - offset % len(space))]
                stream.readinto_exact(part)
                file.write(offset, part)
                offset += len(part)
                left -= len(part)
                progress.update(stream.position)


class _RawFile:
    """A file or block device that is changed in place."""

    def __init__(self, fd: int, sparse_size: int) -> None:
        self._fd = fd
        self._sparse = sparse_size
        self._zeroes = bytes(sparse_size)
        self._is_device = not stat.S_ISREG(os.fstat(fd).st_mode)
        self.size = os.lseek(fd, 0, os.SEEK_END)
        function = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
        if function is not None:
            function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        self._fallocate = function

    def resize(self, size: int) -> None:
        """Set the size of the file. A device only has to be large enough."""
        if not self._is_device:
            os.ftruncate(self._fd, size)
            self.size = size
        elif self.size < size:
            raise exceptions.InvalidArgument(
                f"the device has {self.size} bytes, the image {size}",
                errno=errno.EINVAL,
            )

    def write(self, offset: int, data: memoryview) -> None:
        """Write data without its runs of zeroes."""
        if self._sparse == 0:
            self._write(offset, data)
            return
        begun = at = 0
        while at < len(data):
            # Aligned to blocks of that size in the image.
            end = min(at + self._sparse - (offset + at) % self._sparse, len(data))
            is_hole = end - at == self._sparse and bytes(data[at:end]) == self._zeroes
            if is_hole:
                self._write(offset + begun, data[begun:at])
                hole = at
                while is_hole:
                    at = end
                    end = at + self._sparse
                    is_hole = end <= len(data) and bytes(data[at:end]) == self._zeroes
                self.zero(offset + hole, at - hole)
                begun = at
            else:
                at = end
        self._write(offset + begun, data[begun:])

    def _write(self, offset: int, data: memoryview) -> None:
        while len(data) > 0:
            done = os.pwrite(self._fd, data, offset)
            offset += done
            data = data[done:]

    def zero(self, offset: int, length: int) -> None:
        """Make a region zero, as a hole if the file can have holes."""
        if length == 0 or self._punch(offset, length):
            return
        zeroes = memoryview(bytes(min(length, _COPY_BYTES)))
        while length > 0:
            part = zeroes[: min(length, len(zeroes))]
            self._write(offset, part)
            offset += len(part)
            length -= len(part)

    def _punch(self, offset: int, length: int) -> bool:
        if self._fallocate is None:
            return False
        mode = _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE
        while self._fallocate(self._fd, mode, offset, length) != 0:
            error = ctypes.get_errno()
            if error == errno.EINTR:
                continue
            if error in _NO_HOLES:
                return False
            raise OSError(error, os.strerror(error))
        return True
