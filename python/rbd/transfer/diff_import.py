"""Applies the changes of an image in a stream to another image."""

from __future__ import annotations

import contextlib
import errno

from .. import _pipeline, exceptions
from .._core import Image
from . import formats
from .arguments import check_image, check_options, check_sparse_size, check_stream
from .extents import changed
from .progress import Progress
from .source import Source

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Set, Tuple

    from .progress import ProgressFunction
    from .source import StreamArgument


def import_diff(
    source: StreamArgument,
    image: Image,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    expected: Optional[Tuple[str, str]] = None,
    sparse_size: int = 4096,
    allow_changed: bool = False,
) -> Optional[str]:
    """Apply a difference to an image, as the command `rbd import-diff` does: its size, its data
    and the new snapshot.

    The image must have the snapshot at which the difference starts, and not the one with which
    it ends.

    Parameters
    ----------
    source
        A path, a descriptor or a binary file object. A file is checked from end to end before
        the image is changed; a pipe cannot be. After the stream, there must be nothing in a file
        that is given by its path.
    image
        The image, open for writing.
    on_progress
        As in `import_image`.
    progress
        As in `import_image`.
    checksum
        As in `import_image`.
    queue_depth
        As in `import_image`.
    expected
        The name of a hash, and the hexadecimal digest that the stream must have. Another one is
        found before the new snapshot is taken; in a file, before the image is changed.
    sparse_size
        Runs of so many zero bytes are discarded, so that they take no space; 0 writes all data.
    allow_changed
        Apply the difference even if the image was written to, or resized, since the snapshot at
        which it starts.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    InvalidArgument
        The difference does not start or end where it has to; or the image was changed since.
    StreamError
        The stream is damaged; `.position` says where. The image has no new snapshot then, and
        is what it was or, if the damage was found too late, partly changed.
    OperationCanceled
        `on_progress` stopped it.
    """
    check_stream("source", source, "read")
    check_image(image)
    check_options(checksum, on_progress, expected)
    check_sparse_size(sparse_size)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    with Source(source, checksum, expected) as stream:
        if stream.seekable:
            mark = stream.mark()
            reader = formats.DiffReader(stream)
            check_ends(image, reader.header)
            reader.skim()
            stream.check_end()
            stream.check_digest()
            stream.rewind(mark)
        with Progress(on_progress, progress, stream.size or 0, "import-diff") as reporting:
            apply_diff(
                stream,
                image,
                reporting,
                queue_depth,
                fresh=False,
                sparse_size=sparse_size,
                allow_changed=allow_changed,
            )
            reporting.update(stream.position, last=True)
        return stream.checksum


def check_ends(image: Image, header: formats.DiffHeader) -> None:
    """Check that a diff may be applied to the image. Raises InvalidArgument."""
    names: Set[str] = {entry["name"] for entry in image.list_snaps()}
    start, end = header.from_snapshot, header.to_snapshot
    if start is not None and formats.text(start) not in names:
        raise exceptions.InvalidArgument(
            f"the diff starts at snapshot {formats.text(start)!r}, which {image} does not have",
            errno=errno.EINVAL,
        )
    if end is not None and formats.text(end) in names:
        raise exceptions.InvalidArgument(
            f"the diff ends with snapshot {formats.text(end)!r}, which {image} already has",
            errno=errno.EINVAL,
        )


def check_unchanged(image: Image, start: str, queue_depth: int) -> None:
    """Check that the image has not changed since the snapshot. Raises InvalidArgument."""
    size = image.size()
    # Writes of this handle may still be in its cache.
    image.flush()
    with image._open_again(start) as before:
        changed_at: Optional[int] = None if before.size() == size else min(before.size(), size)
        if changed_at is None:
            # An extent that librbd reports as changed may be the same as before, for example after
            # a rollback.
            extents = [(at, length, True) for at, length, _ in changed(image, size, start)]
            now = _pipeline.read_chunks(image, extents, queue_depth)
            then = _pipeline.read_chunks(before, extents, queue_depth)
            # A completed read keeps its image open until it is taken.
            with contextlib.closing(now), contextlib.closing(then):
                for one, other in zip(now, then):
                    if one.view != other.view:
                        changed_at = one.offset
                        break
    if changed_at is not None:
        raise exceptions.InvalidArgument(
            f"{image} was changed since snapshot {start!r}, at which the diff starts: near byte "
            f"{changed_at}; roll it back to the snapshot, or pass allow_changed=True",
            errno=errno.EINVAL,
        )


def apply_diff(
    stream: Source,
    image: Image,
    progress: Progress,
    queue_depth: int,
    *,
    fresh: bool,
    sparse_size: int,
    allow_changed: bool = True,
    more: bool = False,
) -> None:
    """Apply the next diff of the stream.

    fresh: the image has never been written, so zeroes need not be written. more: other diffs follow
    in the stream, so its digest is not complete.
    """
    reader = formats.DiffReader(stream)
    header = reader.header
    check_ends(image, header)
    if not allow_changed and header.from_snapshot is not None:
        check_unchanged(image, formats.text(header.from_snapshot), queue_depth)
    if header.size is not None and header.size != image.size():
        image.resize(header.size)
    size = image.size()
    with _pipeline.ImageWriter(image, queue_depth, sparse_size, fresh=fresh) as writer:

        def take(view: memoryview, version: int, limit: int) -> int:
            progress.update(stream.position)
            return writer.take(view, version, min(limit, size))

        for extent in reader.extents(take):
            if extent.offset + extent.length > size:
                formats.damaged(
                    f"an extent {extent.offset}~{extent.length} beyond the image's {size} bytes",
                    extent.position,
                )
            if not extent.data:
                writer.zero(extent.offset, extent.length)
            else:
                copy_extent(stream, writer, extent.offset, extent.length, progress)
            progress.update(stream.position)
    image.flush()
    if image.size() != size:
        raise exceptions.InvalidArgument(
            f"{image} was resized to {image.size()} bytes while a diff was applied",
            errno=errno.EINVAL,
        )
    if not more:
        stream.check_digest()
    if header.to_snapshot is not None:
        name = formats.text(header.to_snapshot)
        image.create_snap(name)
        if header.protected:
            image.protect_snap(name)


def copy_extent(
    stream: Source, writer: _pipeline.ImageWriter, offset: int, length: int, progress: Progress
) -> None:
    """Write the next data of the stream into the image."""
    while length > 0:
        part = min(length, _pipeline.PIECE - offset % _pipeline.PIECE)
        space = writer.space(part)
        stream.readinto_exact(space)
        writer.write(offset, part)
        offset += part
        length -= part
        progress.update(stream.position)
