"""Imports whole images from streams."""

from __future__ import annotations

import collections.abc
import contextlib
import errno
import os

from .. import _pipeline, exceptions
from .._core import RBD, Image, constants
from . import formats
from .arguments import check_choice, check_options, check_sparse_size, check_stream, checked_name
from .diff_import import apply_diff, copy_extent
from .progress import Progress
from .source import Source

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

    from .progress import ProgressFunction
    from .source import StreamArgument

# Blocks of this size are compared if equal data is not to be written again, in bytes.
_COMPARED_BYTES = 64 << 10
_ZEROES = bytes(_COMPARED_BYTES)
_MIRROR_MODES = (
    constants["RBD_MIRROR_IMAGE_MODE_JOURNAL"],
    constants["RBD_MIRROR_IMAGE_MODE_SNAPSHOT"],
)
# The files of virtual disks: the mark, its offset in the file's beginning, and the name of the
# format.
_BEGINNING = 128
_DISK_FORMATS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
)
# An image from a pipe, whose length is not known, grows by at least this many objects at a time.
_GROWTH_OBJECTS = 64


def import_image(
    source: StreamArgument,
    ioctx: Any = None,
    name: Optional[str] = None,
    *,
    into: Optional[Image] = None,
    export_format: Optional[int] = None,
    format: Optional[str] = None,
    sparse_size: int = 4096,
    skip_equal: bool = False,
    order: Optional[int] = None,
    object_size: Optional[int] = None,
    old_format: bool = False,
    features: Optional[int] = None,
    stripe_unit: Optional[int] = None,
    stripe_count: Optional[int] = None,
    data_pool: Optional[str] = None,
    journal_order: Optional[int] = None,
    journal_splay_width: Optional[int] = None,
    journal_pool: Optional[str] = None,
    mirror_image_mode: Optional[int] = None,
    metadata: Optional[Mapping[str, str]] = None,
    expected: Optional[Tuple[str, str]] = None,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> Optional[str]:
    """Create an image from a stream, as the command `rbd import` does.

    The image gets its name when it is whole. Until then it is called NAME.import-HEX, and it is
    removed if the import fails.

    Parameters
    ----------
    source
        A path, a descriptor or a binary file object, which is read from where it is to its end.
    ioctx
        The pool, with its namespace.
    name
        The name of the new image.
    into
        An open image, in place of `ioctx` and `name`, that gets the bytes and the length of a
        stream of format 1. Its snapshots and clones stay, and zeroes of the stream are
        discarded. If the import fails, the image is partly changed.
    export_format
        1 for bytes, 2 for an image with its layout, metadata and snapshots. None finds out
        which it is.
    format
        'raw' to import the bytes of a qcow2, vmdk, vdi, vhd or vhdx file as they are.
    sparse_size
        Runs of so many zero bytes take no space; 0 writes all.
    skip_equal
        Read the image given by `into`, and write only what differs.
    order
        As in `rbd.RBD.create`, as the options that follow; they override what a stream of
        format 2 says.
    object_size
        The size of an object in bytes, in place of `order`.
    old_format
        As in `rbd.RBD.create`.
    features
        As in `rbd.RBD.create`.
    stripe_unit
        As in `rbd.RBD.create`.
    stripe_count
        As in `rbd.RBD.create`.
    data_pool
        As in `rbd.RBD.create`.
    journal_order
        As in `rbd.RBD.create`.
    journal_splay_width
        As in `rbd.RBD.create`.
    journal_pool
        As in `rbd.RBD.create`.
    mirror_image_mode
        `RBD_MIRROR_IMAGE_MODE_JOURNAL` or `RBD_MIRROR_IMAGE_MODE_SNAPSHOT`, to mirror the new image
        once it is whole, in a pool that mirrors single images. None does not.
    metadata
        Keys and values to set on the new image.
    expected
        The name of a hash, and the hexadecimal digest that the stream must have.
    on_progress
        `on_progress(done, total)` is called with bytes now and then. A negative answer ends the
        import with OperationCanceled.
    progress
        Draw a bar, if tqdm is installed.
    checksum
        The name of a hash for hashlib; None for no checksum.
    queue_depth
        How many writes are in flight at once.

    Returns
    -------
    The hexadecimal digest of the stream if `checksum` asks for one, else None.

    Raises
    ------
    ImageExists
        There is an image `name`.
    StreamError
        The stream is damaged, or its digest is not the expected one; `.position` says where.
    ValueError
        The file is one of a virtual disk, and `format` is not 'raw'; or arguments do not fit
        together.
    OperationCanceled
        `on_progress` stopped it.
    """
    check_stream("source", source, "read")
    if export_format is not None:
        check_choice("export_format", export_format, (1, 2))
    if format not in (None, "raw"):
        kind = ValueError if isinstance(format, str) else TypeError
        raise kind(f"format must be 'raw' or None, not {format!r}")
    check_options(checksum, on_progress, expected)
    check_sparse_size(sparse_size)
    _pipeline.check_queue_depth(queue_depth)
    if mirror_image_mode is not None:
        check_choice("mirror_image_mode", mirror_image_mode, _MIRROR_MODES)
    pairs = _checked_metadata(metadata)
    options: Dict[str, Any] = {
        "order": _checked_order(order, object_size),
        "old_format": old_format,
        "features": features,
        "stripe_unit": stripe_unit,
        "stripe_count": stripe_count,
        "data_pool": data_pool,
        "journal_order": journal_order,
        "journal_splay_width": journal_splay_width,
        "journal_pool": journal_pool,
        "mirror_image_mode": mirror_image_mode,
    }
    new_name = ""
    if into is not None:
        _check_into(into, ioctx, name, options, pairs)
    else:
        new_name = checked_name("name", name)
        if skip_equal:
            raise ValueError("skip_equal needs into, because it compares with an existing image")
    with Source(source, checksum, expected) as stream:
        if into is None and new_name in RBD().list(ioctx):
            raise exceptions.ImageExists(f"error importing image {new_name!r}", errno=errno.EEXIST)
        if export_format is None:
            banner = stream.peek(len(formats.IMAGE_BANNER))
            export_format = 2 if banner == formats.IMAGE_BANNER else 1
        if export_format == 1 and format is None:
            _check_raw(stream.peek(_BEGINNING))
        total = stream.size or 0
        with Progress(on_progress, progress, total, "import") as reporting:
            if into is not None:
                if export_format == 2:
                    raise exceptions.InvalidArgument(
                        f"a stream of format 2 creates an image; it cannot be imported into {into}",
                        errno=errno.EINVAL,
                    )
                _check_digest_first(stream)
                _restore(stream, into, sparse_size, skip_equal, reporting, queue_depth)
            else:
                import_ = _import_all if export_format == 2 else _import_raw
                import_(
                    stream, ioctx, new_name, options, pairs, sparse_size, reporting, queue_depth
                )
            reporting.update(stream.position, last=True)
        return stream.checksum


def _checked_metadata(metadata: Any) -> List[Tuple[str, str]]:
    if metadata is None:
        return []
    if not isinstance(metadata, collections.abc.Mapping):
        raise TypeError(f"metadata must be a mapping, not {type(metadata).__name__}")
    pairs = [*metadata.items()]
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise TypeError("metadata must have keys and values of str")
    return pairs


def _checked_order(order: Optional[int], object_size: Any) -> Optional[int]:
    if object_size is None:
        return order
    if order is not None:
        raise ValueError("order and object_size mean the same; pass only one of them")
    if not isinstance(object_size, int) or isinstance(object_size, bool):
        raise TypeError(f"object_size must be int, not {type(object_size).__name__}")
    if object_size < 1 or object_size & (object_size - 1):
        raise ValueError(f"object_size must be a power of two, in bytes, not {object_size}")
    return object_size.bit_length() - 1


def _check_into(into: Any, ioctx: Any, name: Any, options: Dict[str, Any], pairs: Any) -> None:
    """Check that no argument applies to a new image as well. Raises TypeError, ValueError."""
    if not isinstance(into, Image):
        raise TypeError(f"into must be an rbd.Image, not {type(into).__name__}")
    if ioctx is not None or name is not None:
        raise TypeError("into must not be passed with ioctx or name, which it replaces")
    given = [
        option for option, value in options.items() if value is not None and value is not False
    ]
    if given or pairs:
        refused = given[0] if given else "metadata"
        raise ValueError(f"{refused} must not be passed with into: it is for a new image")
    into.require_not_closed()


def _check_raw(beginning: bytes) -> None:
    """Check that a stream is neither a diff nor the file of a virtual disk. Raises ValueError."""
    if beginning.startswith(b"rbd diff v"):
        raise ValueError(
            "the source is a diff, which import_diff applies to an image: pass format='raw' to "
            "import its own bytes"
        )
    for at, magic, name in _DISK_FORMATS:
        if beginning[at : at + len(magic)] == magic:
            raise ValueError(
                f"the source is a {name} file, whose bytes are not those of its disk: convert it "
                "by 'qemu-img convert -O raw FILE FILE.raw', or pass format='raw' to import the "
                "file itself"
            )


def _check_digest_first(stream: Source) -> None:
    """Check the digest of a file before an image is changed. Raises StreamError."""
    if stream.seekable and stream.digests.expects and stream.size is not None:
        mark = stream.mark()
        stream.skip(stream.size - stream.position)
        stream.check_digest()
        stream.rewind(mark)


def _restore(
    stream: Source,
    image: Image,
    sparse_size: int,
    skip_equal: bool,
    progress: Progress,
    queue_depth: int,
) -> None:
    """Make an existing image equal to a stream of bytes."""
    known = stream.size if stream.seekable else None
    if known is not None and known != image.size():
        image.resize(known)
    with _pipeline.ImageWriter(image, queue_depth, sparse_size) as writer:
        if known is None:
            size = _copy_all(stream, image, writer, progress, skip_equal)
        else:
            size = known
            position = 0
            for start, end in [*_data(stream, known, sparse_size), (known, known)]:
                if start > position:
                    writer.zero(position, start - position)
                    stream.skip(start - position)
                if skip_equal:
                    _copy_differing(stream, image, writer, start, end, progress, queue_depth)
                else:
                    copy_extent(stream, writer, start, end - start, progress)
                position = end
    image.flush()
    if image.size() != size:
        image.resize(size)
    stream.check_length()
    stream.check_digest()


def _copy_differing(
    stream: Source,
    image: Image,
    writer: _pipeline.ImageWriter,
    start: int,
    end: int,
    progress: Progress,
    queue_depth: int,
) -> None:
    """Write the next data of the stream, if the image has other data there."""
    extents = [(start, end - start, True)] if end > start else []
    space = memoryview(bytearray(_pipeline.PIECE))
    # The reads of the image are ahead of the writes, never behind them.
    for chunk in _pipeline.read_chunks(image, extents, queue_depth):
        new = space[: chunk.length]
        stream.readinto_exact(new)
        _write_differing(writer, chunk.offset, new, chunk.view)
        progress.update(stream.position)


def _write_differing(
    writer: _pipeline.ImageWriter, offset: int, new: memoryview, old: Optional[memoryview]
) -> None:
    """Write the blocks that differ from the old data. None as the old data means zeroes."""
    for at in range(0, len(new), _COMPARED_BYTES):
        block = new[at : at + _COMPARED_BYTES]
        before = _ZEROES[: len(block)] if old is None else bytes(old[at : at + len(block)])
        if bytes(block) != before:
            writer.space(len(block))[:] = block
            writer.write(offset + at, len(block))


@contextlib.contextmanager
def _new_image(ioctx: Any, name: str, size: int, options: Dict[str, Any]) -> Iterator[Image]:
    """Create an image, which gets its name when the body ends. Remove it if the body fails."""
    temporary = f"{name}.import-{os.urandom(4).hex()}"
    mirror_mode = options.pop("mirror_image_mode")
    RBD().create(ioctx, temporary, size, **options)
    try:
        with Image(ioctx, temporary) as image:
            try:
                yield image
                image.flush()
                if mirror_mode is not None:
                    # Mirroring begins now, so that the first mirrored state is a complete one.
                    image.mirror_image_enable(mirror_mode)
            except BaseException:
                _remove_snapshots(image)
                raise
        RBD().rename(ioctx, temporary, name)
    except BaseException:
        # The first exception says more than one raised here.
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
    metadata: List[Tuple[str, str]],
    sparse_size: int,
    progress: Progress,
    queue_depth: int,
) -> None:
    if stream.seekable:
        # A file is checked to its end before anything is created from it.
        mark = stream.mark()
        for _ in range(formats.read_image_header(stream)[1]):
            formats.DiffReader(stream).skim()
        stream.check_end()
        stream.check_digest()
        stream.rewind(mark)
    header, diffs = formats.read_image_header(stream)
    for option in ("order", "features", "stripe_unit", "stripe_count"):
        if options[option] is None:
            options[option] = getattr(header, option)
    with _new_image(ioctx, name, 0, options) as image:
        for key, value in header.metadata:
            image.metadata_set(formats.text(key), formats.text(value))
        _set_metadata(image, metadata)
        for number in range(diffs):
            # Regions that no diff has written yet read as zeroes.
            apply_diff(
                stream,
                image,
                progress,
                queue_depth,
                fresh=number == 0,
                sparse_size=sparse_size,
                more=number + 1 < diffs,
            )


def _set_metadata(image: Image, metadata: List[Tuple[str, str]]) -> None:
    for key, value in metadata:
        image.metadata_set(key, value)


def _import_raw(
    stream: Source,
    ioctx: Any,
    name: str,
    options: Dict[str, Any],
    metadata: List[Tuple[str, str]],
    sparse_size: int,
    progress: Progress,
    queue_depth: int,
) -> None:
    known = stream.size if stream.seekable else None
    with _new_image(ioctx, name, known or 0, options) as image:
        _set_metadata(image, metadata)
        with _pipeline.ImageWriter(image, queue_depth, sparse_size, fresh=True) as writer:
            if known is None:
                size = _copy_all(stream, image, writer, progress, fresh=True)
            else:
                size = known
                for start, end in _data(stream, known, sparse_size):
                    stream.skip(start - stream.position)
                    copy_extent(stream, writer, start, end - start, progress)
                stream.skip(known - stream.position)
        if image.size() != size:
            image.resize(size)
        stream.check_length()
        stream.check_digest()


def _copy_all(
    stream: Source,
    image: Image,
    writer: _pipeline.ImageWriter,
    progress: Progress,
    skip_equal: bool = False,
    *,
    fresh: bool = False,
) -> int:
    """Copy a stream of unknown length, and enlarge the image meanwhile. Return the length.

    fresh: the image has never been written, so its zeroes need not be discarded.
    """
    size = image.size()
    object_size = image.stat()["obj_size"]
    position = 0
    scratch = memoryview(bytearray(_pipeline.PIECE if skip_equal else 0))
    length = _pipeline.PIECE
    while True:
        space = scratch if skip_equal else writer.space(length)
        done = stream.readinto(space)
        if position + done > size:
            size = position + done
            if done == len(space):
                # More may follow. Objects that turn out not to be needed cost a search for them
                # later.
                size = max(size, 2 * position, position + _GROWTH_OBJECTS * object_size)
            image.resize(size)
        if skip_equal and done > 0:
            old = memoryview(image.read(position, done))
            _write_differing(writer, position, space[:done], old)
        has_data = skip_equal or writer.write(position, done)
        position += done
        progress.update(position)
        if done < len(space):
            return position
        # Zeroes often follow zeroes, and are found sooner in small pieces. Pieces of data end where
        # objects do. So must pieces to discard: librbd frees only whole objects.
        length = _pipeline.PIECE - position % _pipeline.PIECE
        if fresh and not has_data:
            length = min(length, _pipeline.CACHED_PIECE)


def _data(stream: Source, size: int, sparse_size: int) -> Iterator[Tuple[int, int]]:
    """Return the (start, end) regions of a file that may hold other data than zeroes."""
    if stream.digests or sparse_size == 0:
        yield 0, size
        return
    position = 0
    while position < size:
        found = stream.find_data(position)
        if found is None:
            return
        start, position = found
        yield start, min(position, size)
