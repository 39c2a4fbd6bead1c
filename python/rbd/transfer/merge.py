"""Merges two consecutive diffs, or a whole image and a diff."""

from __future__ import annotations

import errno

from .. import _pipeline, exceptions
from .._core import _Merge
from . import formats
from .arguments import Digests, check_choice, check_options, check_stream
from .progress import Progress
from .sink import Sink
from .source import Source

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from .progress import ProgressFunction
    from .source import StreamArgument

_COPY_BYTES = 1 << 20
# The memory for records that are written at once, in bytes.
_RECORDS_BYTES = 1 << 20
_NO_LIMIT = (1 << 64) - 1


def merge_diff(
    first: StreamArgument,
    second: StreamArgument,
    dest: StreamArgument,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    diff_format: int = 1,
    queue_depth: Optional[int] = None,
    fsync: bool = True,
    expected: Optional[Tuple[str, str]] = None,
    expected_first: Optional[Tuple[str, str]] = None,
    expected_second: Optional[Tuple[str, str]] = None,
) -> Optional[str]:
    """Write one difference that does what two of them do, as the command `rbd merge-diff` does.

    The first may also be what `export_image` has written, in either format. Then the result is
    the image as the second leaves it, in the same format. In format 2 the second has to start
    at the image's newest snapshot. In format 1 there are no snapshots, so only the caller can
    know that the second starts where the bytes are from.

    Parameters
    ----------
    first
        A path, a descriptor or a binary file object.
    second
        The same, of the difference that starts where the first one ends.
    dest
        As in `export_image`.
    on_progress
        As in `export_image`.
    progress
        As in `export_image`.
    checksum
        As in `export_image`.
    diff_format
        The format of the result, if it is a difference.
    queue_depth
        Has no effect, because no image is used.
    fsync
        As in `export_image`.
    expected
        The name of a hash, and the hexadecimal digest that the result must have. If it has
        another one, a path keeps what it had.
    expected_first
        The same, for `first`.
    expected_second
        The same, for `second`.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    InvalidArgument
        The second does not start where the first ends.
    StreamError
        A stream is damaged, or its digest is not the expected one; `.position` says where.
    OperationCanceled
        `on_progress` stopped it.
    OSError
        The file could not be written; `.position` says where in the stream.

    Notes
    -----
    Data goes from file to file. It takes 40 bytes of memory per extent for where the data is. A
    source that cannot be sought goes through a temporary file.
    """
    check_stream("first", first, "read")
    check_stream("second", second, "read")
    check_stream("dest", dest, "write")
    check_choice("diff_format", diff_format, formats.DIFF_BANNERS)
    check_options(checksum, on_progress, expected, expected_first, expected_second)
    if queue_depth is not None:
        _pipeline.check_queue_depth(queue_depth)
    with _seekable(first, expected_first) as one, _seekable(second, expected_second) as two:
        kind = formats.kind_of(one)
        if kind != "diff":
            merge = _merge_into_image if kind == "image" else _merge_into_bytes
            with (
                Sink(dest, checksum, fsync, expected) as sink,
                Progress(on_progress, progress, 0, "merge") as told,
            ):
                merge(one, two, sink, told)
            return sink.checksum
        merged = _Merge()
        start = _index(one, 0, merged)
        end = _index(two, 1, merged)
        if start.to_snapshot != end.from_snapshot:
            raise exceptions.InvalidArgument(
                f"the first diff ends with {_shown(start.to_snapshot)}, but the second starts at "
                f"{_shown(end.from_snapshot)}",
                errno=errno.EINVAL,
            )
        size = start.size if end.size is None else end.size
        if size is not None and start.size is not None and size > start.size:
            # The image may have been larger before the first diff. Its data beyond that size is
            # gone.
            merged.add_below(start.size, size - start.size)
        with (
            Sink(dest, checksum, fsync, expected) as sink,
            Progress(on_progress, progress, size or 0, "merge") as told,
        ):
            header = formats.DiffHeader(start.from_snapshot, end.to_snapshot, size)
            sink.write(formats.diff_header(diff_format, header))
            _write_records(merged, (one, two), size, diff_format, sink, told)
        return sink.checksum


def _shown(snapshot: Optional[bytes]) -> str:
    return "no snapshot" if snapshot is None else f"snapshot {formats.text(snapshot)!r}"


def _pass_over(source: Source) -> None:
    """Skip the next stream. Raises StreamError."""
    kind = formats.kind_of(source)
    if kind == "diff":
        formats.DiffReader(source).skim()
    elif kind == "image":
        for _ in range(formats.read_image_header(source)[1]):
            formats.DiffReader(source).skim()
    else:
        with memoryview(bytearray(_COPY_BYTES)) as space:
            while source.readinto(space) == len(space):
                pass


def _seekable(argument: StreamArgument, expected: Optional[Tuple[str, str]]) -> Source:
    """Return the source with its digest checked, as a temporary file if it cannot be sought."""
    source = Source(argument, expected=expected)
    try:
        if source.seekable:
            if expected is not None:
                mark = source.mark()
                _pass_over(source)
                source.check_digest()
                source.rewind(mark)
                source.digests = Digests(None)
            return source
        import tempfile  # takes a while, and few sources need it

        # Copies only this stream: what follows it in a pipe belongs to the caller.
        source.copy = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            _pass_over(source)
            source.check_digest()
        except BaseException:
            source.copy.close()
            raise
    except BaseException:
        source.close()
        raise
    source.close()
    source.copy.seek(0)
    return _Owning(source.copy)


class _Owning(Source):
    """A source that closes its file."""

    def close(self) -> None:
        file = self._object
        super().close()
        file.close()


def _index(source: Source, stream: int, merged: _Merge) -> formats.DiffHeader:
    """Add the extents of a diff to the merged ones."""

    def take(view: memoryview, version: int, limit: int) -> int:
        return merged.take(view, version, limit, stream, source.position)

    reader = formats.DiffReader(source)
    for extent in reader.extents(take):
        merged.add(extent.offset, extent.length, stream, extent.position if extent.data else -1)
        if extent.data:
            source.skip(extent.length)
    source.check_end()
    return reader.header


def _write_records(
    merged: _Merge,
    sources: Tuple[Source, Source],
    size: Optional[int],
    version: int,
    sink: Sink,
    progress: Progress,
) -> None:
    """Write a record for each merged region, and the end of the diff."""
    limit = _NO_LIMIT if size is None else size
    first, second = ((source.fd, source.base) for source in sources)
    with memoryview(bytearray(_RECORDS_BYTES)) as space:
        ended = False
        while not ended:
            filled, reached, ended, stream, position, left = merged.fill(
                space, version, limit, first, second
            )
            sink.write(space[:filled])
            sink.copy(sources[stream], position, left)
            progress.update(reached)
    sink.write(formats.DIFF_END)
    progress.update(size or 0, last=True)


def _copy_bytes(source: Source, start: int, end: int, sink: Sink) -> None:
    """Copy a region of an image's bytes with its holes. After the end of the bytes come zeroes."""
    position = start
    there = min(end, source.size or 0)
    while position < there:
        found = source.find_data(position)
        first, last = found if found is not None else (there, there)
        first, last = min(first, there), min(last, there)
        if first > position:
            sink.hole(first - position)
        if last > first:
            sink.copy(source, first, last - first)
        position = max(first, last)
    if end > position:
        sink.hole(end - position)


def _merge_into_bytes(one: Source, two: Source, sink: Sink, progress: Progress) -> None:
    """Write the bytes of an image to which a diff is applied."""
    merged = _Merge()
    header = _index(two, 1, merged)
    size = one.size or 0 if header.size is None else header.size
    progress.total = size
    # The caller's file is left at the end of its stream.
    one.position = one.size or 0
    position = 0
    for offset, stop, _, data in iter(lambda: merged.next(size), None):
        _copy_bytes(one, position, offset, sink)
        if data < 0:
            sink.hole(stop - offset)
        else:
            sink.copy(two, data, stop - offset)
        position = stop
        progress.update(position)
    _copy_bytes(one, position, size, sink)
    one.check_length()
    progress.update(size, last=True)


def _merge_into_image(one: Source, two: Source, sink: Sink, progress: Progress) -> None:
    """Write an image of export format 2 with the changes of a diff."""
    _, count = formats.read_image_header(one)
    # The header without the number of diffs.
    header_end = one.position - formats.COUNT_BYTES
    headers = []
    head_at = one.position
    for _ in range(count):
        head_at = one.position
        reader = formats.DiffReader(one)
        reader.skim()
        headers.append(reader.header)
    one.check_end()
    head, names = headers[-1], {header.to_snapshot for header in headers}
    merged = _Merge()
    change = _index(two, 1, merged)
    if head.to_snapshot is not None:
        formats.damaged("an image whose last difference does not end at its head", head_at)
    if change.from_snapshot != head.from_snapshot:
        raise exceptions.InvalidArgument(
            f"the newest state that the image keeps is {_shown(head.from_snapshot)}, but the diff "
            f"starts at {_shown(change.from_snapshot)}",
            errno=errno.EINVAL,
        )
    end = change.to_snapshot
    if end is not None and end in names:
        raise exceptions.InvalidArgument(
            f"the diff ends at {_shown(end)}, which the image already has", errno=errno.EINVAL
        )
    size = head.size if change.size is None else change.size
    progress.total = size or 0
    sink.copy(one, 0, header_end)
    sink.write(formats.diff_count(count if end is None else count + 1))
    start = header_end + formats.COUNT_BYTES
    sink.copy(one, start, head_at - start)
    protected = None if end is None else bool(change.protected)
    sink.write(
        formats.diff_header(2, formats.DiffHeader(change.from_snapshot, end, size, protected))
    )
    _write_records(merged, (one, two), size, 2, sink, progress)
    if end is not None:
        # The head equals the new snapshot.
        sink.write(formats.diff_header(2, formats.DiffHeader(end, None, size)), formats.DIFF_END)
