"""A digest of an image's content, which reads only data and not holes."""

from __future__ import annotations

import struct

from .. import _pipeline
from .._core import Image
from .arguments import check_image, check_options, new_hash
from .extents import Ends, changed, has_map
from .progress import Progress

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

    from .extents import ExtentTuple
    from .progress import ProgressFunction

# The size of the blocks that are hashed. It is part of the digest's definition.
_BLOCK = 64 << 10
_BANNER = b"rbd extents digest v1\n"
_U64 = struct.Struct("<Q")


def digest(
    image: Image,
    checksum: str = "sha256",
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> str:
    """Return a digest of the image's size and content, in hexadecimal, without reading its holes.

    Images of the same size and content have the same digest, whatever their layout, parents, holes
    and Ceph release; at a snapshot too. It is not the hash of the image's bytes, which
    ``export_image(image, "/dev/null", checksum="sha256")`` returns and which has to hash each zero.

    What is hashed, and stays so: the line ``rbd extents digest v1``, with its newline; the size in
    bytes as a 64-bit little-endian integer; then, for each block of 65,536 bytes at a multiple of
    that in which there is another byte than zero, its offset as such an integer and its bytes. The
    last block ends with the image.

    Parameters
    ----------
    image
        The open image, also at a snapshot.
    checksum
        The name of a hash, as `hashlib.new` takes it.
    on_progress, progress, queue_depth
        As in `export_image`.

    Returns
    -------
    The digest, in hexadecimal.

    Raises
    ------
    ImageNotFound
        The snapshot at which the image is open was removed.
    StreamError
        The image has become smaller during the call.
    ValueError
        There is no such hash.
    """
    check_image(image)
    if checksum is None:
        raise TypeError("checksum must be str, not NoneType")
    check_options(checksum, on_progress)
    _pipeline.check_queue_depth(queue_depth)
    image.require_not_closed()
    size = image.size()
    ends = Ends(image, size)
    hashed = new_hash(checksum)
    hashed.update(_BANNER + _U64.pack(size))
    zeroes = bytes(_BLOCK)
    found = changed(image, size, whole_object=has_map(image), ordered=True)
    with Progress(on_progress, progress, size, "digest") as reporting:
        for chunk in _pipeline.read_chunks(image, _whole_blocks(found, size), queue_depth, _BLOCK):
            view = chunk.view
            if view is not None:
                for at in range(0, chunk.length, _BLOCK):
                    block = view[at : at + _BLOCK]
                    if block != zeroes[: len(block)]:
                        hashed.update(_U64.pack(chunk.offset + at))
                        hashed.update(block)
            reporting.update(chunk.offset + chunk.length)
        ends.check()
        reporting.update(size, last=True)
    return str(hashed.hexdigest())


def _whole_blocks(extents: Iterator[ExtentTuple], size: int) -> Iterator[ExtentTuple]:
    """Return the blocks that sorted extents with data touch, each one once."""
    first = last = 0
    for offset, length, exists in extents:
        if not exists or length == 0 or offset >= size:
            continue
        begin = max(offset // _BLOCK * _BLOCK, last)
        end = min(-(-(offset + length) // _BLOCK) * _BLOCK, size)
        if begin > last:
            if last > first:
                yield first, last - first, True
            first = begin
        last = max(last, end)
    if last > first:
        yield first, last - first, True
