"""Describes and checks a stream, without a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from .._core import _list_records
from . import formats
from .arguments import check_options, check_stream
from .progress import Progress
from .source import Source

if TYPE_CHECKING:
    from .progress import ProgressFunction
    from .source import StreamArgument


class DiffDescription(NamedTuple):
    """A difference: its ends, the image's size in bytes, and (offset, length, data) extents.

    A snapshot of None is the beginning of the image, or its head. `data` is False for zeroes.
    """

    version: int
    from_snapshot: Optional[str]
    to_snapshot: Optional[str]
    size: Optional[int]
    protected: Optional[bool]
    extents: List[Tuple[int, int, bool]]

    @property
    def data_bytes(self) -> int:
        """How many bytes of data the difference has."""
        return sum(length for _, length, data in self.extents if data)

    @property
    def zero_bytes(self) -> int:
        """How many bytes the difference makes zero."""
        return sum(length for _, length, data in self.extents if not data)


class StreamDescription(NamedTuple):
    """A stream: its `kind` is "diff", "image" (export format 2) or "raw" (export format 1).

    size: the image's, at the end of the stream, in bytes; None if the stream does not say.
    length: the stream's own. diffs: one of a "diff", those of an "image", none of "raw". layout and
    metadata are those of an "image".
    """

    kind: str
    size: Optional[int]
    length: int
    diffs: List[DiffDescription]
    layout: Dict[str, int]
    metadata: Dict[str, str]


def describe(source: StreamArgument) -> StreamDescription:
    """Return what a stream contains, from its beginning to its end.

    Whatever is neither a difference nor an image of export format 2 is "raw", because any bytes
    are the bytes of an image.

    Parameters
    ----------
    source
        A path, a descriptor or a binary file object. The data of a file that can be sought is
        not read.

    Returns
    -------
    The description.

    Raises
    ------
    StreamError
        The stream is damaged; `.position` says where.
    """
    check_stream("source", source, "read")
    with Source(source) as stream:
        return _look(stream)


def verify(
    source: StreamArgument,
    *,
    expected: Optional[Tuple[str, str]] = None,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
) -> Optional[str]:
    """Check a stream: its structure, that its extents are within the image, and its digest.

    All of the stream is read.

    Parameters
    ----------
    source
        A path, a descriptor or a binary file object. A path must have the stream and nothing
        after it.
    expected
        The name of a hash, and the hexadecimal digest that the stream must have.
    on_progress
        As in `export_image`.
    progress
        As in `export_image`.
    checksum
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
    check_options(checksum, on_progress, expected)
    with Source(source, checksum, expected) as stream:
        total = stream.size or 0
        with Progress(on_progress, progress, total, "verify") as reporting:
            _look(stream, reporting)
            if stream.owned and stream.read(1):
                formats.damaged("more data after the end", stream.position - 1)
            stream.check_digest()
            reporting.update(stream.position, last=True)
        return stream.checksum


def _look(stream: Source, progress: Optional[Progress] = None) -> StreamDescription:
    kind = formats.kind_of(stream)
    if kind == "image":
        header, count = formats.read_image_header(stream)
        diffs = [_diff(stream, progress) for _ in range(count)]
        names = ("order", "features", "stripe_unit", "stripe_count")
        layout = {name: getattr(header, name) for name in names}
        return StreamDescription(
            "image",
            diffs[-1].size,
            stream.position,
            diffs,
            {name: value for name, value in layout.items() if value is not None},
            {formats.text(key): formats.text(value) for key, value in header.metadata},
        )
    if kind == "diff":
        diff = _diff(stream, progress)
        return StreamDescription("diff", diff.size, stream.position, [diff], {}, {})
    length = _pass_all(stream, progress)
    return StreamDescription("raw", length, length, [], {}, {})


def _diff(stream: Source, progress: Optional[Progress]) -> DiffDescription:
    reader = formats.DiffReader(stream)
    extents: List[Tuple[int, int, bool]] = []

    def take(view: memoryview, version: int, limit: int) -> int:
        if progress is not None:
            progress.update(stream.position)
        return _list_records(view, version, limit, extents)

    for extent in reader.extents(take):
        extents.append((extent.offset, extent.length, extent.data))
        if extent.data:
            _pass(stream, extent.length, progress)
    header: Any = reader.header
    start, end = header.from_snapshot, header.to_snapshot
    return DiffDescription(
        reader.version,
        None if start is None else formats.text(start),
        None if end is None else formats.text(end),
        header.size,
        header.protected,
        extents,
    )


# The number of bytes that are skipped between two reports of progress.
_STEP_BYTES = 16 << 20


def _pass(stream: Source, length: int, progress: Optional[Progress]) -> None:
    while length > 0:
        step = min(length, _STEP_BYTES)
        stream.skip(step)
        length -= step
        if progress is not None:
            progress.update(stream.position)


def _pass_all(stream: Source, progress: Optional[Progress]) -> int:
    if stream.seekable and stream.size is not None:
        _pass(stream, stream.size - stream.position, progress)
        return stream.position
    with memoryview(bytearray(1 << 20)) as space:
        while stream.readinto(space) == len(space):
            if progress is not None:
                progress.update(stream.position)
    return stream.position
