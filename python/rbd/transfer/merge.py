"""Two diffs that follow each other, or a whole image and a diff, made one."""

from __future__ import annotations

import errno
import heapq
from typing import Iterator, List, NamedTuple, Optional, Tuple

from .. import _pipeline, exceptions
from . import formats
from .arguments import Digests, check_choice, check_options, check_stream
from .progress import Progress, ProgressFunction
from .sink import Sink
from .source import Source, StreamArgument

_COPY_BYTES = 1 << 20


class _Piece(NamedTuple):
    """A stretch of the image, and where its data is: in which stream, and where there."""

    offset: int
    end: int
    # What comes later in time has the last word.
    order: int
    stream: int
    # -1 for zeroes.
    position: int


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
    """Writes one diff that does what `first` and then `second` do, as the command `rbd merge-diff`
    does.

    The first may also be what export_image has written, in either format. Then the result is the
    image as the second leaves it, in the same format. In format 2 the second has to start at the
    image's newest snapshot. In format 1 there are no snapshots: that the second starts where the
    bytes are from is the caller's to know.

    first, second, dest: paths, descriptors or binary file objects. The first must end where the
    second starts, else InvalidArgument. Data goes from file to file; what is kept in memory is
    where it is, some hundred bytes an extent. What cannot be sought goes through a temporary file.
    diff_format: that of the result, where it is a diff. expected, expected_first, expected_second:
    a hash's name and its hexadecimal digest, which the result, and what was read, must have; else
    StreamError, and a path is what it was before. queue_depth is accepted and means nothing: no
    image is at work here. The other arguments, the result and the errors are those of export_diff.
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
        pieces: List[_Piece] = []
        start = _index(one, 0, pieces)
        end = _index(two, 1, pieces)
        if start.to_snapshot != end.from_snapshot:
            raise exceptions.InvalidArgument(
                f"the first diff ends with {_shown(start.to_snapshot)}, but the second starts at "
                f"{_shown(end.from_snapshot)}",
                errno=errno.EINVAL,
            )
        size = start.size if end.size is None else end.size
        if size is not None and start.size is not None and size > start.size:
            # The image may have been larger before the first diff: what was there is gone.
            pieces.append(_Piece(start.size, size, -1, 0, -1))
        with (
            Sink(dest, checksum, fsync, expected) as sink,
            Progress(on_progress, progress, size or 0, "merge") as told,
        ):
            header = formats.DiffHeader(start.from_snapshot, end.to_snapshot, size)
            sink.write(formats.diff_header(diff_format, header))
            describe = formats.extent_header(diff_format)
            for offset, stop, piece in _flattened(pieces, size):
                sink.write(describe(offset, stop - offset, piece.position >= 0))
                if piece.position >= 0:
                    source = two if piece.stream else one
                    _copy(source, piece.position + offset - piece.offset, stop - offset, sink)
                told.update(stop)
            sink.write(formats.DIFF_END)
            told.update(size or 0, last=True)
        return sink.checksum


def _shown(snapshot: Optional[bytes]) -> str:
    return "no snapshot" if snapshot is None else f"snapshot {formats.text(snapshot)!r}"


def _pass_over(source: Source) -> None:
    """Pass over the stream that comes next. Raises StreamError."""
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
    """The source, by way of a temporary file where it cannot be sought, with its digest checked."""
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
        import tempfile  # takes a while, and few sources need one

        # This stream alone: what follows it in a pipe is not ours.
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


def _index(source: Source, stream: int, pieces: List[_Piece]) -> formats.DiffHeader:
    reader = formats.DiffReader(source)
    for extent in reader:
        if extent.data:
            source.skip(extent.length)
        if extent.length:
            position = extent.position if extent.data else -1
            end = extent.offset + extent.length
            pieces.append(_Piece(extent.offset, end, len(pieces), stream, position))
    return reader.header


def _flattened(pieces: List[_Piece], size: Optional[int]) -> Iterator[Tuple[int, int, _Piece]]:
    """(offset, end, piece) without overlaps, in order of offset: the latest piece of each place."""
    pieces.sort(key=lambda piece: piece.offset)
    waiting: List[Tuple[int, _Piece]] = []
    position = 0
    at = 0
    limit = size if size is not None else 1 << 64
    while at < len(pieces) or waiting:
        if not waiting:
            position = pieces[at].offset
        while at < len(pieces) and pieces[at].offset <= position:
            heapq.heappush(waiting, (-pieces[at].order, pieces[at]))
            at += 1
        latest = waiting[0][1]
        if latest.end <= position:
            heapq.heappop(waiting)
            continue
        if position >= limit:
            return
        stop = min(latest.end, limit)
        # Something that starts within this piece hides its rest only where it is later.
        following = at
        while following < len(pieces) and pieces[following].offset < stop:
            if pieces[following].order > latest.order:
                stop = pieces[following].offset
                break
            heapq.heappush(waiting, (-pieces[following].order, pieces[following]))
            following += 1
        at = following
        yield position, stop, latest
        position = stop


def _copy_bytes(source: Source, start: int, end: int, sink: Sink) -> None:
    """Copy a stretch of an image's bytes with its holes; behind their end there are zeroes."""
    position = start
    there = min(end, source.size or 0)
    while position < there:
        found = source.find_data(position)
        first, last = found if found is not None else (there, there)
        first, last = min(first, there), min(last, there)
        if first > position:
            sink.hole(first - position)
        if last > first:
            _copy(source, first, last - first, sink)
        position = max(first, last)
    if end > position:
        sink.hole(end - position)


def _merge_into_bytes(one: Source, two: Source, sink: Sink, progress: Progress) -> None:
    """Write the bytes of an image as a diff leaves them."""
    pieces: List[_Piece] = []
    header = _index(two, 1, pieces)
    size = one.size or 0 if header.size is None else header.size
    progress.total = size
    position = 0
    for offset, stop, piece in _flattened(pieces, size):
        _copy_bytes(one, position, offset, sink)
        if piece.position < 0:
            sink.hole(stop - offset)
        else:
            _copy(two, piece.position + offset - piece.offset, stop - offset, sink)
        position = stop
        progress.update(position)
    _copy_bytes(one, position, size, sink)
    progress.update(size, last=True)


def _merge_into_image(one: Source, two: Source, sink: Sink, progress: Progress) -> None:
    """Write an image of export format 2 with what a diff changes in it."""
    _, count = formats.read_image_header(one)
    # Without the number of diffs.
    header_end = one.position - formats.COUNT_BYTES
    headers = []
    head_at = one.position
    for _ in range(count):
        head_at = one.position
        reader = formats.DiffReader(one)
        reader.skim()
        headers.append(reader.header)
    head, names = headers[-1], {header.to_snapshot for header in headers}
    pieces: List[_Piece] = []
    change = _index(two, 1, pieces)
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
            f"the diff ends at {_shown(end)}, which the image has already", errno=errno.EINVAL
        )
    size = head.size if change.size is None else change.size
    progress.total = size or 0
    _copy(one, 0, header_end, sink)
    sink.write(formats.diff_count(count if end is None else count + 1))
    start = header_end + formats.COUNT_BYTES
    _copy(one, start, head_at - start, sink)
    protected = None if end is None else bool(change.protected)
    sink.write(
        formats.diff_header(2, formats.DiffHeader(change.from_snapshot, end, size, protected))
    )
    describe = formats.extent_header(2)
    for offset, stop, piece in _flattened(pieces, size):
        sink.write(describe(offset, stop - offset, piece.position >= 0))
        if piece.position >= 0:
            _copy(two, piece.position + offset - piece.offset, stop - offset, sink)
        progress.update(stop)
    sink.write(formats.DIFF_END)
    if end is not None:
        # The head is what the new snapshot is.
        sink.write(formats.diff_header(2, formats.DiffHeader(end, None, size)), formats.DIFF_END)
    progress.update(size or 0, last=True)


def _copy(source: Source, position: int, length: int, sink: Sink) -> None:
    source.position = position
    with memoryview(bytearray(min(length, _COPY_BYTES))) as space:
        while length > 0:
            part = space[: min(length, len(space))]
            source.readinto_exact(part)
            sink.write(part)
            length -= len(part)
