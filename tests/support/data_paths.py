"""Every way to move data out of an image or into one. `PATHS` has a line for each.

A path is a function of a `Subject`. It compares the data with the subject's content, or changes
both. After each path, the caller checks that the image reads as the content.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import struct
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import rbd
import rbd.aio
import rbd.transfer
from rbd.transfer.formats import DiffHeader
from support import stream_files
from support.image_kinds import BEFORE, OBJECT, Subject, compare
from support.image_model import read_all
from support.luks import PASSPHRASE

SECTOR = 512
Extent = Tuple[int, int, bool]


# The offsets where a path writes, if there is room. No other path begins there.


def stretch(subject: Subject) -> Tuple[int, int]:
    """Return an offset and a length across the edge of two objects."""
    size = len(subject.content)
    offset = min(4 * OBJECT - 3000, size)
    return offset, min(OBJECT + 7000, size - offset)


def sectors(subject: Subject) -> Tuple[int, int]:
    """Return an offset and a length of whole sectors, within an object."""
    offset, length = stretch(subject)
    offset -= offset % SECTOR
    return offset, min(2 * SECTOR, length - length % SECTOR)


def blocks(subject: Subject) -> List[int]:
    """Return the offsets of some blocks of `SECTOR` bytes."""
    size = len(subject.content)
    offsets = (SECTOR, 2 * SECTOR, 7 * OBJECT - SECTOR, 7 * OBJECT, size - SECTOR)
    return [offset for offset in offsets if 0 <= offset <= size - SECTOR]


def fresh(subject: Subject) -> bytes:
    """Return data for the region."""
    return subject.noise(stretch(subject)[1])


# Reads and writes


def read_into(subject: Subject) -> None:
    # A read of some bytes from an empty image is an error.
    memory = bytearray(len(subject.content) + (10 if subject.content else 0))
    done = subject.image.readinto(memory, 0)
    compare(bytes(memory[:done]), bytes(subject.content), "readinto()")


def read_vectors(subject: Subject) -> None:
    size = len(subject.content)
    parts = [bytearray(size // 3), bytearray(0), bytearray(size)]
    done = subject.image.readv(parts, 0)
    compare(b"".join(parts)[:done], bytes(subject.content), "readv()")


def read_blocks(subject: Subject) -> None:
    offsets = blocks(subject)
    found = subject.image.read_blocks(offsets, SECTOR)
    wanted = b"".join(subject.content[offset : offset + SECTOR] for offset in offsets)
    compare(bytes(found), wanted, "read_blocks()")


def read_iterate(subject: Subject) -> None:
    memory = bytearray(b"?" * len(subject.content))

    def take(offset: int, length: int, data: Optional[bytes]) -> None:
        memory[offset : offset + length] = bytes(length) if data is None else data

    subject.image.read_iterate(0, len(memory), take)
    compare(bytes(memory), bytes(subject.content), "read_iterate()")


def write(subject: Subject) -> None:
    offset, _ = stretch(subject)
    data = fresh(subject)
    assert subject.image.write(data, offset) == len(data)
    subject.put(offset, data)


def write_vectors(subject: Subject) -> None:
    offset, length = stretch(subject)
    data = fresh(subject)
    done = subject.image.writev([data[: length // 2], b"", data[length // 2 :]], offset)
    assert done == length
    subject.put(offset, data)


def write_blocks(subject: Subject) -> None:
    offsets = blocks(subject)
    data = subject.noise(SECTOR * len(offsets))
    assert subject.image.write_blocks(data, offsets) == len(data)
    for number, offset in enumerate(offsets):
        subject.put(offset, data[number * SECTOR :][:SECTOR])


def write_same(subject: Subject) -> None:
    offset, length = sectors(subject)
    data = subject.noise(SECTOR)
    subject.image.write_same(data, offset, length)
    subject.put(offset, data * (length // SECTOR))


def write_zeroes(subject: Subject) -> None:
    offset, length = stretch(subject)
    subject.image.write_zeroes(offset, length)
    subject.put(offset, bytes(length))


def compare_and_write(subject: Subject) -> None:
    offset, length = sectors(subject)
    length = min(length, SECTOR)
    data = subject.noise(length)
    subject.image.compare_and_write(bytes(subject.content[offset : offset + length]), data, offset)
    if not rbd.supports("rbd_snap_create2"):
        # The cache of Ceph 14 keeps what it has read before.
        subject.image.invalidate_cache()
    subject.put(offset, data)


def discard(subject: Subject) -> None:
    subject.discard(3 * OBJECT)
    subject.image.discard(len(subject.content), 0)


def callbacks_read(subject: Subject) -> None:
    found: List[Any] = []
    completion = subject.image.aio_read(0, len(subject.content), lambda _, data: found.append(data))
    completion.wait_for_complete_and_cb()
    assert completion.get_return_value() >= 0, completion.get_return_value()
    compare(bytes(found[0] or b""), bytes(subject.content), "aio_read()")


def callbacks_write(subject: Subject) -> None:
    offset, _ = stretch(subject)
    data = fresh(subject)
    completion = subject.image.aio_write(data, offset, lambda _: None)
    completion.wait_for_complete_and_cb()
    result = completion.get_return_value()
    if result < 0:
        raise rbd.make_ex(result, "error of aio_write()")
    subject.put(offset, data)


def awaited_read(subject: Subject) -> None:
    async def get() -> bytes:
        return await rbd.aio.AsyncImage(subject.image).read(0, len(subject.content))

    compare(asyncio.run(get()), bytes(subject.content), "AsyncImage.read()")


def awaited_write(subject: Subject) -> None:
    offset, _ = stretch(subject)
    data = fresh(subject)

    async def give() -> None:
        await rbd.aio.AsyncImage(subject.image).write(data, offset)

    asyncio.run(give())
    subject.put(offset, data)


def opened_for_await(subject: Subject) -> None:
    async def get() -> bytes:
        async with rbd.aio.open(subject.ioctx, subject.name, BEFORE, read_only=True) as image:
            if subject.encryption is not None:
                image.image.encryption_load(subject.encryption, PASSPHRASE)
            return await image.read(0, len(subject.before))

    compare(asyncio.run(get()), subject.before, "the image at the snapshot")


# Files and arrays


def file_read(subject: Subject) -> None:
    with subject.image.open_file("rb") as file:
        compare(file.read(), bytes(subject.content), "the file")
        end = file.seek(0, io.SEEK_END)
        assert end == len(subject.content)
        file.seek(end // 2)
        compare(file.read(), bytes(subject.content[end // 2 :]), "the second half of the file")


def file_write(subject: Subject) -> None:
    offset, _ = stretch(subject)
    data = fresh(subject)
    with subject.image.open_file("r+b") as file:
        file.seek(offset)
        assert file.write(data) == len(data)
    subject.put(offset, data)


def file_truncate(subject: Subject) -> None:
    """Enlarge the file by a part of an object, and back."""
    size = len(subject.content)
    with subject.image.open_file("r+b", buffering=0) as file:
        assert file.truncate(size + 5000) == size + 5000
        subject.content.extend(bytes(5000))
        subject.check()
        assert file.truncate(size) == size
        del subject.content[size:]


def array_read(subject: Subject) -> None:
    array = rbd.ImageArray(subject.image, "u1", len(subject.content))
    compare(array[...].tobytes(), bytes(subject.content), "the array")
    compare(array[1::3].tobytes(), bytes(subject.content[1::3]), "each third of the array")


def array_write(subject: Subject) -> None:
    import numpy as np

    offset, _ = stretch(subject)
    data = fresh(subject)
    array = rbd.ImageArray(subject.image, "u1", len(subject.content), mode="r+")
    array[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
    subject.put(offset, data)


# Differences


def covers(subject: Subject, start: bytes, extents: List[Extent]) -> None:
    """Check that the extents cover all changes, and that zeroes are reported if there are some."""
    content = bytes(subject.content)
    guess = bytearray(start[: len(content)].ljust(len(content), b"\0"))
    for offset, length, exists in extents:
        end = min(offset + length, len(content))
        if not exists and any(content[offset:end]):
            raise AssertionError(f"data where {offset}~{length} is said not to exist")
        guess[offset:end] = content[offset:end]
    compare(bytes(guess), content, "what the difference leads to")


def start_of(subject: Subject, since: Optional[str]) -> bytes:
    return b"" if since is None else subject.before


def diff(subject: Subject, since: Optional[str], whole_object: bool) -> None:
    found = list(subject.image.diff(from_snapshot=since, whole_object=whole_object))
    covers(subject, start_of(subject, since), found)
    merged = subject.image.diff(from_snapshot=since, whole_object=whole_object, merge=True)
    covers(subject, start_of(subject, since), list(merged))


def diff_iterate(subject: Subject, since: Optional[str], whole_object: bool) -> None:
    found: List[Extent] = []
    subject.image.diff_iterate(
        0,
        len(subject.content),
        since,
        lambda *extent: found.append(extent),
        whole_object=whole_object,
    )
    covers(subject, start_of(subject, since), found)


# Streams


def difference(subject: Subject, since: Optional[str], whole_object: bool = False) -> bytes:
    stream = io.BytesIO()
    rbd.transfer.export_diff(subject.image, stream, since, whole_object=whole_object)
    return stream.getvalue()


def patched(start: bytes, stream: bytes) -> Tuple[bytes, DiffHeader]:
    """Return a model after a difference, and the header of the difference."""
    header, records = stream_files.parse_diff(stream)
    assert header.size is not None
    return stream_files.apply_records(start, header.size, records), header


def export_diff(subject: Subject, since: Optional[str], whole_object: bool) -> None:
    result, _ = patched(start_of(subject, since), difference(subject, since, whole_object))
    compare(result, bytes(subject.content), "what the difference leads to")


def merge_diff(subject: Subject) -> None:
    first = io.BytesIO()
    with subject.looking_at(BEFORE) as image:
        rbd.transfer.export_diff(image, first)
    first.seek(0)
    merged = io.BytesIO()
    rbd.transfer.merge_diff(first, io.BytesIO(difference(subject, BEFORE)), merged)
    result, _ = patched(b"", merged.getvalue())
    compare(result, bytes(subject.content), "what the merged differences lead to")


def import_diff(subject: Subject) -> None:
    """Import differences that keep the size, enlarge the image, and restore the size."""
    size = len(subject.content)
    offset, length = stretch(subject)
    for new_size in (size, size + OBJECT + 1000, size):
        records: List[stream_files.Record] = [
            ("z", 0, min(1000, new_size)),
            ("w", offset, subject.noise(length)),
        ]
        if new_size > size:
            records.append(("w", size, subject.noise(new_size - size)))
        stream = stream_files.make_diff(records, size=new_size)
        rbd.transfer.import_diff(io.BytesIO(stream), subject.image)
        after = stream_files.apply_records(bytes(subject.content), new_size, records)
        subject.content = bytearray(after)
        subject.check()


def export_image(subject: Subject) -> None:
    stream = io.BytesIO()
    rbd.transfer.export_image(subject.image, stream)
    compare(stream.getvalue(), bytes(subject.content), "the export")


def export_image_to_file(subject: Subject) -> None:
    """Export to a file, with holes if there can be some."""
    path = subject.stage.directory / subject.stage.name("export")
    rbd.transfer.export_image(subject.image, path)
    compare(path.read_bytes(), bytes(subject.content), "the export")


def export_all(subject: Subject) -> None:
    """Export in format 2, and import the result."""
    stream = io.BytesIO()
    rbd.transfer.export_image(subject.image, stream, export_format=2)
    stream.seek(0)
    name = subject.stage.name("import")
    rbd.transfer.import_image(stream, subject.ioctx, name)
    # The stream has the whole image, whichever snapshot is set.
    same_content(subject, name, subject.head, stored=True)
    assert_snapshots(subject, name)


def digest(subject: Subject) -> None:
    """Check the digest against its documented definition."""
    content = bytes(subject.content)
    hashed = hashlib.sha256(b"rbd extents digest v1\n" + struct.pack("<Q", len(content)))
    for offset in range(0, len(content), 65536):
        block = content[offset : offset + 65536]
        if any(block):
            hashed.update(struct.pack("<Q", offset) + block)
    assert rbd.transfer.digest(subject.image) == hashed.hexdigest()


def apply_diff(subject: Subject) -> None:
    """Apply a difference to a file that has the content of the snapshot."""
    path = subject.stage.directory / subject.stage.name("file")
    path.write_bytes(subject.before)
    rbd.transfer.apply_diff(io.BytesIO(difference(subject, BEFORE)), path, fsync=False)
    compare(path.read_bytes(), bytes(subject.content), "the file")


def import_into(subject: Subject, skip_equal: bool) -> None:
    """Replace the image's content by other content, some of which is equal."""
    content = bytearray(subject.content)
    offset, length = stretch(subject)
    content[offset : offset + length] = subject.noise(length)
    for number in (2, 10, 14):
        part = content[number * OBJECT : (number + 1) * OBJECT]
        content[number * OBJECT : (number + 1) * OBJECT] = bytes(len(part))
    rbd.transfer.import_image(
        io.BytesIO(bytes(content)), into=subject.image, skip_equal=skip_equal, format="raw"
    )
    subject.content = content


def import_image(subject: Subject) -> None:
    """Import into a new image like this one."""
    name = subject.stage.name("import")
    rbd.transfer.import_image(
        io.BytesIO(bytes(subject.content)), subject.ioctx, name, **subject.create
    )
    same_content(subject, name)


def same_content(
    subject: Subject, name: str, content: Optional[bytes] = None, stored: bool = False
) -> None:
    """Check that an image has the same content as this one; `stored`: and encryption."""
    with rbd.Image(subject.ioctx, name, read_only=True) as image:
        if stored:
            subject.unlock(image)
        compare(read_all(image), content or bytes(subject.content), "the new image")


def assert_snapshots(subject: Subject, name: str) -> None:
    """Check that an image has the same snapshots as this one, and the same encryption."""
    with subject.unlock(rbd.Image(subject.ioctx, name, read_only=True)) as image:
        assert {entry["name"] for entry in image.list_snaps()} >= set(subject.snapshots)
        for snapshot, content in subject.snapshots.items():
            image.set_snap(snapshot)
            compare(read_all(image), content, f"snapshot {snapshot!r} of the new image")


# Copies


def copy(subject: Subject) -> None:
    name = subject.stage.name("copy")
    subject.image.copy(subject.ioctx, name)
    same_content(subject, name)


def copy_into(subject: Subject) -> None:
    name = subject.stage.name("copy")
    size = len(subject.content)
    rbd.RBD().create(subject.ioctx, name, size, **subject.create)
    with rbd.Image(subject.ioctx, name) as destination:
        # The copy leaves the data that is there already.
        for offset in range(0, size - SECTOR, OBJECT // 2):
            destination.write(subject.noise(SECTOR), offset)
        subject.image.copy_into(destination)
    same_content(subject, name)


def deep_copy(subject: Subject) -> None:
    name = subject.stage.name("copy")
    subject.image.deep_copy(subject.ioctx, name)
    same_content(subject, name)
    assert_snapshots(subject, name)


def flatten_clone(subject: Subject) -> None:
    """Flatten a clone of the snapshot, so that it gets the data itself."""
    name = subject.stage.name("clone")
    rbd.RBD().clone(subject.ioctx, subject.name, BEFORE, subject.ioctx, name, clone_format=2)
    with subject.unlock(rbd.Image(subject.ioctx, name)) as image:
        compare(read_all(image), subject.before, "the clone")
        image.flatten()
        compare(read_all(image), subject.before, "the clone without its parent")


def flatten(subject: Subject) -> None:
    subject.image.flatten()


def sparsify(subject: Subject) -> None:
    subject.image.sparsify(4096)


def rollback(subject: Subject) -> None:
    subject.image.rollback_to_snap(BEFORE)
    subject.content = bytearray(subject.before)


class Path(NamedTuple):
    go: Callable[[Subject], None]
    #: Whether it changes the image.
    writes: bool = False
    #: The C functions that it needs.
    needs: Tuple[str, ...] = ()


def _since(function: Callable[..., None], name: str) -> Dict[str, Path]:
    """Diff since the beginning and since the snapshot, of bytes and of whole objects."""
    return {
        f"{name} from {since or 'nothing'}{', whole objects' if whole else ''}": Path(
            functools.partial(function, since=since, whole_object=whole)
        )
        for since in (None, BEFORE)
        for whole in (False, True)
    }


#: The last paths leave less data, so they come last.
PATHS: Dict[str, Path] = {
    "readinto": Path(read_into),
    "readv": Path(read_vectors),
    "read_blocks": Path(read_blocks),
    "read_iterate": Path(read_iterate),
    "aio_read": Path(callbacks_read),
    "await read": Path(awaited_read),
    "await open": Path(opened_for_await),
    "file read": Path(file_read),
    "array read": Path(array_read),
    **_since(diff, "diff"),
    **_since(diff_iterate, "diff_iterate"),
    **_since(export_diff, "export_diff"),
    "merge_diff": Path(merge_diff),
    "export_image": Path(export_image),
    "export_image to a file": Path(export_image_to_file),
    "export_image, format 2": Path(export_all),
    "import_image": Path(import_image),
    "digest": Path(digest),
    "apply_diff": Path(apply_diff),
    "copy": Path(copy),
    "copy_into": Path(copy_into),
    "deep_copy": Path(deep_copy),
    "flatten a clone": Path(flatten_clone),
    "write": Path(write, True),
    "writev": Path(write_vectors, True),
    "write_blocks": Path(write_blocks, True),
    "write_same": Path(write_same, True),
    "write_zeroes": Path(write_zeroes, True, ("rbd_write_zeroes",)),
    "compare_and_write": Path(compare_and_write, True, ("rbd_compare_and_write",)),
    "discard": Path(discard, True),
    "aio_write": Path(callbacks_write, True),
    "await write": Path(awaited_write, True),
    "file write": Path(file_write, True),
    "file truncate": Path(file_truncate, True),
    "array write": Path(array_write, True),
    "import_diff": Path(import_diff, True),
    "import into": Path(functools.partial(import_into, skip_equal=False), True),
    "import what differs": Path(functools.partial(import_into, skip_equal=True), True),
    "sparsify": Path(sparsify, True),
    "flatten": Path(flatten, True),
    "rollback": Path(rollback, True),
}
