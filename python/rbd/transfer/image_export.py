"""Whole images into streams."""

from __future__ import annotations

import contextlib
from typing import Iterator, List, Optional, Tuple

from .. import _pipeline, exceptions
from .._core import Image
from .._opened import Opened
from . import formats
from .arguments import check_choice, check_image, check_options, check_stream
from .diff_export import write_diff
from .extents import changed, check_size, has_map, with_holes
from .progress import Progress, ProgressFunction
from .sink import Sink
from .source import StreamArgument

# Zeroes of so many bytes at a multiple of that become a hole, where the destination can have holes.
_HOLE_BYTES = 64 << 10


def export_image(
    image: Image,
    dest: StreamArgument,
    *,
    export_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    fsync: bool = True,
) -> Optional[str]:
    """Writes a whole image to `dest`, as the command `rbd export` does.

    dest: a path, a descriptor or a binary file object. A path gets the stream when it is whole, and
    is left as it was when it is not. export_format: 1 for the image's bytes as it is open now, at a
    snapshot too, with holes where the destination can have them; 2 for a stream of the image's
    layout, its metadata and all its snapshots, as well as the head. on_progress(done, total):
    called with bytes now and then; a negative answer ends the export with OperationCanceled.
    progress: draws a bar, where tqdm is installed. checksum: the name of a hash for hashlib.
    queue_depth: how many reads are in flight at once. fsync: return only when a file that was given
    by its path, and its name in its directory, are on the disk; False leaves that to the system. A
    descriptor or a file object is the caller's to synchronize.

    Gives the hexadecimal digest of the stream where a checksum was asked for, else None. An error
    of writing is an OSError with the `position` in the stream; an image that shrinks meanwhile a
    StreamError.
    """
    check_image(image)
    check_stream("dest", dest, "write")
    check_choice("export_format", export_format, (1, 2))
    check_options(checksum, on_progress)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    size = image.size()
    told = Progress(on_progress, progress, size, "export")
    with Sink(dest, checksum, fsync) as sink, told as reporting:
        if export_format == 1:
            _export_raw(image, size, sink, reporting, queue_depth)
        else:
            _export_all(image, sink, reporting, queue_depth)
    return sink.checksum


def _export_raw(image: Image, size: int, sink: Sink, progress: Progress, queue_depth: int) -> None:
    # Where the object map tells which objects there are, that is quicker than to ask each one.
    extents = changed(image, size, whole_object=has_map(image), ordered=True)
    extents = with_holes(extents, size)
    for chunk in _pipeline.read_chunks(image, extents, queue_depth, _HOLE_BYTES):
        if chunk.view is None:
            sink.hole(chunk.length)
        else:
            sink.write(chunk.view)
        progress.update(chunk.offset + chunk.length)
    check_size(image, size)
    progress.update(size, last=True)


def _metadata(image: Image) -> List[Tuple[bytes, bytes]]:
    return sorted((formats.raw(key), formats.raw(value)) for key, value in image.metadata_list())


def _snapshots(image: Image) -> Iterator[Tuple[str, int]]:
    """The user's snapshots, oldest first; those of groups and of the trash are none of his."""
    for snapshot in sorted(image.list_snaps(), key=lambda entry: int(entry["id"])):
        if snapshot.get("namespace", 0) == 0:
            yield snapshot["name"], snapshot["size"]


def _export_all(image: Image, sink: Sink, progress: Progress, queue_depth: int) -> None:
    if Opened.of(image).writable:
        # Other handles see what is in the cluster; with the lock at another client, that is all.
        with contextlib.suppress(exceptions.ReadOnlyImage):
            image.flush()
    with image._open_again(None) as head:
        snapshots = list(_snapshots(head))
        header = formats.ImageHeader(
            order=head.stat()["order"],
            features=head.features(),
            stripe_unit=head.stripe_unit(),
            stripe_count=head.stripe_count(),
            metadata=_metadata(head),
        )
        sizes = [size for _, size in snapshots] + [head.size()]
        progress.total = sum(sizes)
        sink.write(formats.image_header(header, len(sizes)))
        start: Optional[str] = None
        done = 0
        for name, size in snapshots:
            with head._open_again(name) as at:
                protected = at.is_protected_snap(name)
                write_diff(
                    at,
                    sink,
                    progress,
                    version=2,
                    start=start,
                    end=name,
                    queue_depth=queue_depth,
                    protected=protected,
                    done=done,
                )
            start = name
            done += size
        write_diff(
            head,
            sink,
            progress,
            version=2,
            start=start,
            end=None,
            queue_depth=queue_depth,
            done=done,
        )
    progress.update(sum(sizes), last=True)
