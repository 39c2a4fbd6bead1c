"""What changed in an image, from a stream into another image."""

from __future__ import annotations

from typing import Optional, Set

from .. import _pipeline, exceptions
from .._core import Image
from . import formats
from .arguments import check_image, check_options, check_stream
from .progress import Progress, ProgressFunction
from .source import Source, StreamArgument


def import_diff(
    source: StreamArgument,
    image: Image,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> Optional[str]:
    """Applies a diff to an image, as the command `rbd import-diff` does: size, data, and the new
    snapshot.

    source: a path, a descriptor or a binary file object. The image must have the snapshot at which
    the diff starts, and not the one with which it ends, else InvalidArgument. A file is looked
    through from end to end before the image is touched; a pipe cannot be. A damaged stream is
    StreamError with its `position`; then the image has no new snapshot, and is what it was or,
    where that was seen too late, partly changed. The other arguments and the result are those of
    export_image.
    """
    check_stream("source", source, "read")
    check_image(image)
    check_options(checksum, on_progress)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    with Source(source, checksum) as stream:
        if stream.seekable:
            mark = stream.mark()
            reader = formats.DiffReader(stream)
            check_ends(image, reader.header)
            reader.skim()
            stream.rewind(mark)
        with Progress(on_progress, progress, stream.size or 0, "import-diff") as reporting:
            apply_diff(stream, image, reporting, queue_depth, fresh=False, sparse_size=0)
            reporting.update(stream.position, last=True)
        return stream.checksum


def check_ends(image: Image, header: formats.DiffHeader) -> None:
    """Whether a diff may be applied to the image. Raises InvalidArgument."""
    names: Set[str] = {entry["name"] for entry in image.list_snaps()}
    start, end = header.from_snapshot, header.to_snapshot
    if start is not None and formats.text(start) not in names:
        raise exceptions.InvalidArgument(
            f"the diff starts at snapshot {formats.text(start)!r}, which {image} has not", errno=22
        )
    if end is not None and formats.text(end) in names:
        raise exceptions.InvalidArgument(
            f"the diff ends with snapshot {formats.text(end)!r}, which {image} has already",
            errno=22,
        )


def apply_diff(
    stream: Source,
    image: Image,
    progress: Progress,
    queue_depth: int,
    *,
    fresh: bool,
    sparse_size: int,
) -> None:
    """Applies the diff that comes next in the stream.

    fresh: the image has never been written, so that zeroes need not be.
    """
    reader = formats.DiffReader(stream)
    header = reader.header
    check_ends(image, header)
    if header.size is not None and header.size != image.size():
        image.resize(header.size)
    size = image.size()
    with _pipeline.ImageWriter(image, queue_depth, sparse_size if fresh else 0) as writer:
        for extent in reader:
            if extent.offset + extent.length > size:
                formats.damaged(
                    f"an extent {extent.offset}~{extent.length} beyond the image's {size} bytes",
                    extent.position,
                )
            if not extent.data:
                if not fresh:
                    writer.zero(extent.offset, extent.length)
            else:
                copy_extent(stream, writer, extent.offset, extent.length, progress)
            progress.update(stream.position)
    image.flush()
    if image.size() != size:
        raise exceptions.InvalidArgument(
            f"{image} was resized to {image.size()} bytes while a diff was applied", errno=22
        )
    if header.to_snapshot is not None:
        name = formats.text(header.to_snapshot)
        image.create_snap(name)
        if header.protected:
            image.protect_snap(name)


def copy_extent(
    stream: Source, writer: _pipeline.ImageWriter, offset: int, length: int, progress: Progress
) -> None:
    """Writes what comes next in the stream into the image."""
    while length > 0:
        part = min(length, _pipeline.PIECE - offset % _pipeline.PIECE)
        space = writer.space(part)
        stream.readinto_exact(space)
        writer.write(offset, part)
        offset += part
        length -= part
        progress.update(stream.position)
