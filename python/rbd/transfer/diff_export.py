"""Exports the changes of an image to a stream."""

from __future__ import annotations

import collections

from .. import _pipeline
from .._core import RBD, Image
from .._opened import Opened
from . import formats
from .arguments import check_choice, check_image, check_options, check_stream, checked_name
from .extents import Ends, changed, own
from .progress import Progress
from .sink import Sink

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Deque, Iterable, Iterator, List, Optional, Tuple

    from .progress import ProgressFunction
    from .sink import Buffer
    from .source import StreamArgument

# Small records are written together, up to this many parts.
_PARTS = 256


def export_diff(
    image: Image,
    dest: StreamArgument,
    from_snapshot: Optional[str] = None,
    *,
    whole_object: bool = False,
    include_parent: bool = True,
    diff_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    fsync: bool = True,
) -> Optional[str]:
    """Write what has changed since a snapshot, as the command `rbd export-diff` does.

    Parameters
    ----------
    image
        The open image. Its present state, or the snapshot at which it is open, is the end of
        the difference.
    dest
        As in `export_image`.
    from_snapshot
        The start; None means the beginning of the image.
    whole_object
        Write each existing object whole, which is quick with the object map. It has no effect
        with `from_snapshot`, because the object map does not name what a rollback has changed.
    include_parent
        False leaves out what a clone has from its parent, so that the difference can be applied
        to another clone of it. `whole_object` then has no effect.
    diff_format
        1; or 2, the one that whole images of export format 2 contain.
    on_progress
        As in `export_image`.
    progress
        As in `export_image`.
    checksum
        As in `export_image`.
    queue_depth
        As in `export_image`.
    fsync
        As in `export_image`.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    ImageNotFound
        There is no such snapshot, or it or the one at which the image is open was removed.
    InvalidArgument
        The snapshot is later than the end of the difference.
    StreamError
        The image became smaller meanwhile.
    OperationCanceled
        `on_progress` stopped it.
    OSError
        The file could not be written; `.position` says where in the stream.
    """
    check_image(image)
    check_stream("dest", dest, "write")
    if from_snapshot is not None:
        from_snapshot = checked_name("from_snapshot", from_snapshot)
    check_choice("diff_format", diff_format, formats.DIFF_BANNERS)
    check_options(checksum, on_progress)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    if from_snapshot is not None:
        # This fails before the destination is changed. The diff itself would fail too, but later.
        image.is_protected_snap(from_snapshot)
    at = Opened.of(image).snapshot
    # The end has no name if, for example, it is the snapshot of a group. An import could not use
    # its name.
    end = at if isinstance(at, str) else None
    size = image.size()
    told = Progress(on_progress, progress, size, "export-diff")
    with Sink(dest, checksum, fsync) as sink, told as reporting:
        write_diff(
            image,
            sink,
            reporting,
            version=diff_format,
            start=from_snapshot,
            end=end,
            queue_depth=queue_depth,
            whole_object=whole_object,
            include_parent=include_parent,
        )
        reporting.update(size, last=True)
    return sink.checksum


def write_diff(
    image: Image,
    sink: Sink,
    progress: Progress,
    *,
    version: int,
    start: Optional[str],
    end: Optional[str],
    queue_depth: int,
    whole_object: bool = False,
    protected: Optional[bool] = None,
    done: int = 0,
    include_parent: bool = True,
) -> None:
    """Write one diff of the open image. `done` bytes were done before it, for the progress."""
    image._require_whole_blocks("exporting")
    size = image.size()
    ends = Ends(image, size, start)
    header = formats.DiffHeader(
        from_snapshot=None if start is None else formats.raw(start),
        to_snapshot=None if end is None else formats.raw(end),
        size=size,
        protected=protected,
    )
    # As the command of the loaded librbd's release writes it, to the byte.
    old = RBD().version() < (1, 18, 0)
    length = formats.OLD_PROTECTION_LENGTH if old else formats.PROTECTION_LENGTH
    sink.write(formats.diff_header(version, header, length))
    describe = formats.extent_header(version)
    if start is None and not include_parent and image.overlap() > 0:
        found = own(image, size, queue_depth)
    else:
        found = changed(image, size, start, whole_object)
    extents = (
        (offset, min(length, size - offset), exists)
        for offset, length, exists in found
        if offset < size
    )
    records = _Records(sink, describe)
    for batch in _pipeline.read_batches(image, records.noted(extents), queue_depth):
        for chunk in batch:
            records.add(chunk)
        # The memory of a batch is invalid once the next one is read.
        records.flush()
        progress.update(done + batch[-1].offset + batch[-1].length)
    ends.check()
    sink.write(formats.DIFF_END)


class _Records:
    """Write one record for each extent, whose data come in chunks, as the command does.

    The record of an extent that is all zeroes has no data. In other records, zeroes are data too.
    The kind of a record must be written first, so zeroes at the beginning of an extent are counted
    until other data follow.
    """

    def __init__(self, sink: Sink, describe: Callable[[int, int, bool], bytes]) -> None:
        self._sink = sink
        self._describe = describe
        self._extents: Deque[Tuple[int, int, bool]] = collections.deque()
        self._parts: List[Buffer] = []
        self._done = 0
        # The number of zeroes at the extent's beginning that are not written yet; -1 after its
        # header.
        self._zeroes = 0

    def noted(self, extents: Iterable[Tuple[int, int, bool]]) -> Iterator[Tuple[int, int, bool]]:
        """Pass the extents on, and remember them."""
        for extent in extents:
            if extent[1] > 0:
                self._extents.append(extent)
                yield extent

    def add(self, chunk: _pipeline.Chunk) -> None:
        """Write a chunk, which begins the next extent or continues the present one."""
        offset, length, _ = self._extents[0]
        parts, view = self._parts, chunk.view
        if view is None:
            if self._zeroes < 0:
                self._write_zeroes(chunk.length)
            else:
                self._zeroes += chunk.length
        else:
            if self._zeroes >= 0:
                parts.append(self._describe(offset, length, True))
                if self._zeroes > 0:
                    self._write_zeroes(self._zeroes)
                self._zeroes = -1
            parts.append(view)
        self._done += chunk.length
        if self._done == length:
            if self._zeroes >= 0:
                parts.append(self._describe(offset, length, False))
            self._extents.popleft()
            self._done = self._zeroes = 0
        if len(parts) >= _PARTS:
            self.flush()

    def _write_zeroes(self, length: int) -> None:
        self.flush()
        self._sink.hole(length)

    def flush(self) -> None:
        """Pass all records to the destination."""
        if self._parts:
            self._sink.write(*self._parts)
            self._parts.clear()
