"""Two diffs that follow each other, made one."""

from __future__ import annotations

import heapq
from typing import Iterator, List, NamedTuple, Optional, Tuple

from .. import _pipeline, exceptions
from . import formats
from .arguments import check_choice, check_options, check_stream
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
) -> Optional[str]:
    """Writes one diff that does what `first` and then `second` do, as the command `rbd merge-diff`
    does.

    first, second, dest: paths, descriptors or binary file objects. The first must end where the
    second starts, else InvalidArgument. Data goes from file to file; what is kept in memory is
    where it is, some hundred bytes an extent. What cannot be sought goes through a temporary file.
    diff_format: that of the result. queue_depth is accepted and means nothing: no image is at work
    here. The other arguments, the result and the errors are those of export_diff.
    """
    check_stream("first", first, "read")
    check_stream("second", second, "read")
    check_stream("dest", dest, "write")
    check_choice("diff_format", diff_format, formats.DIFF_BANNERS)
    check_options(checksum, on_progress)
    if queue_depth is not None:
        _pipeline.check_queue_depth(queue_depth)
    with _seekable(first) as one, _seekable(second) as two:
        pieces: List[_Piece] = []
        start = _index(one, 0, pieces)
        end = _index(two, 1, pieces)
        if start.to_snapshot != end.from_snapshot:
            raise exceptions.InvalidArgument(
                f"the first diff ends with {_shown(start.to_snapshot)}, but the second starts at "
                f"{_shown(end.from_snapshot)}",
                errno=22,
            )
        size = start.size if end.size is None else end.size
        if size is not None and start.size is not None and size > start.size:
            # The image may have been larger before the first diff: what was there is gone.
            pieces.append(_Piece(start.size, size, -1, 0, -1))
        with (
            Sink(dest, checksum, fsync) as sink,
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


def _seekable(argument: StreamArgument) -> Source:
    """The source, by way of a temporary file where it cannot be sought."""
    source = Source(argument)
    if source.seekable:
        return source
    with source:
        import tempfile  # takes a while, and few sources need one

        # The diff alone: what follows it in a pipe is not ours.
        source.copy = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            formats.DiffReader(source).skim()
        except BaseException:
            source.copy.close()
            raise
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


def _copy(source: Source, position: int, length: int, sink: Sink) -> None:
    source.position = position
    with memoryview(bytearray(min(length, _COPY_BYTES))) as space:
        while length > 0:
            part = space[: min(length, len(space))]
            source.readinto_exact(part)
            sink.write(part)
            length -= len(part)
