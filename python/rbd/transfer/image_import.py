"""Whole images from streams."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any, Dict, Iterator, Optional, Tuple

from .. import _pipeline, exceptions
from .._core import RBD, Image
from . import formats
from .arguments import check_choice, check_options, check_stream, checked_name
from .diff_import import apply_diff, copy_extent
from .progress import Progress, ProgressFunction
from .source import Source, StreamArgument

# An image from a pipe, whose length nobody knows, grows by at least this many bytes at a time.
_GROWTH_BYTES = 256 << 20


def import_image(
    source: StreamArgument,
    ioctx: Any,
    name: str,
    *,
    export_format: Optional[int] = None,
    sparse_size: int = 4096,
    order: Optional[int] = None,
    features: Optional[int] = None,
    stripe_unit: Optional[int] = None,
    stripe_count: Optional[int] = None,
    data_pool: Optional[str] = None,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> Optional[str]:
    """Creates an image from a stream, as the command `rbd import` does.

    source: a path, a descriptor or a binary file object, from where it is to its end.
    export_format: 1 for bytes, 2 for an image with its layout, metadata and snapshots; None to see
    which it is. sparse_size: runs of so many zero bytes take no space; 0 writes all. order,
    features, stripe_unit, stripe_count and data_pool are those of RBD.create, and go before what a
    stream of format 2 says.

    The image has its name when it is whole: on the way it has another, NAME.import-HEX, and is
    removed where the import fails. Raises ImageExists; StreamError, with its `position`, for a
    damaged stream. The other arguments and the result are those of export_image.
    """
    check_stream("source", source, "read")
    name = checked_name("name", name)
    if export_format is not None:
        check_choice("export_format", export_format, (1, 2))
    check_options(checksum, on_progress)
    if not isinstance(sparse_size, int) or isinstance(sparse_size, bool):
        raise TypeError(f"sparse_size must be int, not {type(sparse_size).__name__}")
    if sparse_size < 0:
        raise ValueError(f"sparse_size must not be negative, but is {sparse_size}")
    _pipeline.check_queue_depth(queue_depth)
    options: Dict[str, Any] = {
        "order": order,
        "features": features,
        "stripe_unit": stripe_unit,
        "stripe_count": stripe_count,
        "data_pool": data_pool,
    }
    with Source(source, checksum) as stream:
        if name in RBD().list(ioctx):
            raise exceptions.ImageExists(f"error importing image {name!r}", errno=errno.EEXIST)
        if export_format is None:
            banner = stream.peek(len(formats.IMAGE_BANNER))
            export_format = 2 if banner == formats.IMAGE_BANNER else 1
        total = stream.size or 0
        with Progress(on_progress, progress, total, "import") as reporting:
            if export_format == 2:
                _import_all(stream, ioctx, name, options, sparse_size, reporting, queue_depth)
            else:
                _import_raw(stream, ioctx, name, options, sparse_size, reporting, queue_depth)
            reporting.update(stream.position, last=True)
        return stream.checksum


@contextlib.contextmanager
def _new_image(ioctx: Any, name: str, size: int, options: Dict[str, Any]) -> Iterator[Image]:
    """A new image, which gets its name when the body is through, and goes where that fails."""
    temporary = f"{name}.import-{os.urandom(4).hex()}"
    RBD().create(ioctx, temporary, size, **options)
    try:
        with Image(ioctx, temporary) as image:
            try:
                yield image
                image.flush()
            except BaseException:
                _remove_snapshots(image)
                raise
        RBD().rename(ioctx, temporary, name)
    except BaseException:
        # What happened first says more than what happens now.
        with contextlib.suppress(exceptions.Error):
            RBD().remove(ioctx, temporary)
        raise


def _remove_snapshots(image: Image) -> None:
    with contextlib.suppress(exceptions.Error):
        for snapshot in image.list_snaps():
            if image.is_protected_snap(snapshot["name"]):
                image.unprotect_snap(snapshot["name"])
            image.remove_snap(snapshot["name"])


def _import_all(
    stream: Source,
    ioctx: Any,
    name: str,
    options: Dict[str, Any],
    sparse_size: int,
    progress: Progress,
    queue_depth: int,
) -> None:
    if stream.seekable:
        # A file is looked through before anything is made of it.
        mark = stream.mark()
        for _ in range(formats.read_image_header(stream)[1]):
            formats.DiffReader(stream).skim()
        stream.rewind(mark)
    header, diffs = formats.read_image_header(stream)
    for option in ("order", "features", "stripe_unit", "stripe_count"):
        if options[option] is None:
            options[option] = getattr(header, option)
    with _new_image(ioctx, name, 0, options) as image:
        for key, value in header.metadata:
            image.metadata_set(formats.text(key), formats.text(value))
        for number in range(diffs):
            # What no diff has written yet is zero anyhow.
            apply_diff(
                stream, image, progress, queue_depth, fresh=number == 0, sparse_size=sparse_size
            )


def _import_raw(
    stream: Source,
    ioctx: Any,
    name: str,
    options: Dict[str, Any],
    sparse_size: int,
    progress: Progress,
    queue_depth: int,
) -> None:
    known = stream.size if stream.seekable else None
    with _new_image(ioctx, name, known or 0, options) as image:
        with _pipeline.ImageWriter(image, queue_depth, sparse_size) as writer:
            if known is None:
                size = _copy_all(stream, image, writer, progress)
            else:
                size = known
                for start, end in _data(stream, known, sparse_size):
                    stream.skip(start - stream.position)
                    copy_extent(stream, writer, start, end - start, progress)
                stream.skip(known - stream.position)
        if image.size() != size:
            image.resize(size)


def _copy_all(
    stream: Source, image: Image, writer: _pipeline.ImageWriter, progress: Progress
) -> int:
    """Copies a stream of unknown length; gives the length. The image grows on the way."""
    size = position = 0
    while True:
        space = writer.space(_pipeline.PIECE)
        done = stream.readinto(space)
        if position + done > size:
            size = max(position + done, 2 * size, _GROWTH_BYTES)
            image.resize(size)
        writer.write(position, done)
        position += done
        progress.update(position)
        if done < _pipeline.PIECE:
            return position


def _data(stream: Source, size: int, sparse_size: int) -> Iterator[Tuple[int, int]]:
    """The (start, end) stretches of a file that may hold anything but zeroes."""
    if stream.hash is not None or sparse_size == 0:
        yield 0, size
        return
    position = 0
    while position < size:
        found = stream.find_data(position)
        if found is None:
            return
        start, position = found
        yield start, min(position, size)
