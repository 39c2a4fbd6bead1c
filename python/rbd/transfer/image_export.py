"""Exports whole images to streams."""

from __future__ import annotations

import contextlib

from .. import _pipeline, exceptions
from .._core import Image
from .._opened import Opened
from . import formats
from .arguments import check_choice, check_image, check_options, check_stream
from .diff_export import write_diff
from .extents import Ends, changed, has_map, with_holes
from .progress import Progress
from .sink import Sink

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

    from .progress import ProgressFunction
    from .source import StreamArgument

# An aligned block of this many zero bytes becomes a hole, if the destination can have holes.
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
    """Write a whole image to a file, as the command `rbd export` does.

    Parameters
    ----------
    image
        The open image. Format 1 has its bytes as it is open, at a snapshot too.
    dest
        A path, a descriptor or a binary file object. A path gets the stream when it is whole;
        until then it is left as it was.
    export_format
        1 for the bytes of the image, with holes if the destination can have them; 2 for a
        stream of the layout, the metadata and all snapshots, as well as the image itself.
    on_progress
        `on_progress(done, total)` is called with bytes now and then. A negative answer ends the
        export with OperationCanceled.
    progress
        Draw a bar, if tqdm is installed.
    checksum
        The name of a hash for hashlib, such as 'sha256'; None for no checksum.
    queue_depth
        How many reads are in flight at once.
    fsync
        Return only when a file that was named by its path is on the disk, and its name in its
        directory. False leaves that to the system. A descriptor or a file object is the
        caller's to synchronize.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    ImageNotFound
        The snapshot at which the image is open was removed.
    StreamError
        The image became smaller meanwhile.
    OperationCanceled
        `on_progress` stopped it.
    OSError
        The file could not be written; `.position` says where in the stream.
    """
    check_image(image)
    check_stream("dest", dest, "write")
    check_choice("export_format", export_format, (1, 2))
    check_options(checksum, on_progress)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    image._require_whole_blocks("exporting")
    size = image.size()
    told = Progress(on_progress, progress, size, "export")
    with Sink(dest, checksum, fsync) as sink, told as reporting:
        if export_format == 1:
            _export_raw(image, size, sink, reporting, queue_depth)
        else:
            _export_all(image, sink, reporting, queue_depth)
    return sink.checksum


def _export_raw(image: Image, size: int, sink: Sink, progress: Progress, queue_depth: int) -> None:
    ends = Ends(image, size)
    # If the object map tells which objects exist, that is faster than asking each object.
    extents = changed(image, size, whole_object=has_map(image), ordered=True)
    extents = with_holes(extents, size)
    for chunk in _pipeline.read_chunks(image, extents, queue_depth, _HOLE_BYTES):
        if chunk.view is None:
            sink.hole(chunk.length)
        else:
            sink.write(chunk.view)
        progress.update(chunk.offset + chunk.length)
    ends.check()
    progress.update(size, last=True)


def _metadata(image: Image) -> List[Tuple[bytes, bytes]]:
    return sorted((formats.raw(key), formats.raw(value)) for key, value in image.metadata_list())


def _snapshots(image: Image) -> Iterator[Tuple[str, int]]:
    """Return the user's snapshots, oldest first, without those of groups and of the trash."""
    for snapshot in sorted(image.list_snaps(), key=lambda entry: int(entry["id"])):
        if snapshot.get("namespace", 0) == 0:
            yield snapshot["name"], snapshot["size"]


def _export_all(image: Image, sink: Sink, progress: Progress, queue_depth: int) -> None:
    if Opened.of(image).writable:
        # Other handles see only flushed data. If another client has the lock, the flush is refused,
        # and this handle has no data to flush.
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
