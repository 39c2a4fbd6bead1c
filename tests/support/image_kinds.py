"""Images of every kind that librbd treats differently, each with a history and its model.

`KINDS` has a line for each. A kind is a function that makes an image on a `PoolStage`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import secrets
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import rbd
from support.image_model import noise, read_all
from support.luks import HEADERS, LUKS1, LUKS2, PASSPHRASE, format_cheaply

ORDER = 16
OBJECT = 1 << ORDER
SIZE = 16 * OBJECT
#: The snapshot that each image has. The image has changed since.
BEFORE = "before"

LAYERING = rbd.RBD_FEATURE_LAYERING
LOCK = LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
MAPS = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
MAPPED = LOCK | MAPS


class PoolStage:
    """The place for new images: two connections to one pool, a second pool, and a directory."""

    def __init__(self, conffile: str, pool: str, second_pool: str, directory: str) -> None:
        self.second_pool = second_pool
        self.directory = Path(directory)
        self._connections = [rbd.connect(conffile) for _ in range(2)]
        self.ioctx, self.elsewhere = (
            connection.open_ioctx(pool) for connection in self._connections
        )
        # Other processes make images in the same pool.
        self._names = secrets.token_hex(3)
        self._numbers = itertools.count()
        self.seeds = itertools.count(1)

    def name(self, what: str = "image") -> str:
        """Return a name that no image has."""
        return f"{what}-{self._names}-{next(self._numbers)}"

    def namespace(self) -> Any:
        """Return an I/O context of a new namespace."""
        name = self.name("space")
        rbd.RBD().namespace_create(self.ioctx, name)
        ioctx = self._connections[0].open_ioctx(self.ioctx.get_pool_name())
        ioctx.set_namespace(name)
        return ioctx


class Subject:
    """An open image, and the content that it must have, now and at its snapshots."""

    def __init__(self, stage: PoolStage, ioctx: Any, name: str, create: Dict[str, Any]) -> None:
        self.stage = stage
        self.ioctx = ioctx
        self.name = name
        #: The options, except the size, that make another image of the kind.
        self.create = create
        self.image = rbd.Image(ioctx, name)
        #: The format of the encryption that is loaded.
        self.encryption: Optional[int] = None
        self.content = bytearray(self.image.size())
        self.snapshots: Dict[str, bytes] = {}
        #: The snapshot at which the image is open. `head` is then the content of the image's head.
        self.at: Optional[int] = None
        self.head: Optional[bytes] = None
        stat = self.image.stat()
        #: The size of a set of objects that the image's stripes are in.
        self.period = int(stat["obj_size"]) * self.image.stripe_count()
        #: Objects that must live as long as the image.
        self.kept: List[Any] = []

    @property
    def before(self) -> bytes:
        return self.snapshots[BEFORE]

    def unlock(self, image: rbd.Image) -> rbd.Image:
        """Open the image, with the encryption of this one loaded."""
        if self.encryption is not None:
            image.encryption_load(self.encryption, PASSPHRASE)
        return image

    def encrypt(self, format: int) -> None:
        """Format the image. It has its largest possible size from then on."""
        format_cheaply(self.image, format)
        self.encryption = format
        self.content = bytearray(self.image.size())
        # In an existing object, a part that was never written decrypts to noise.
        for number in (0, 2, 3, 4, 5, 6, 7, 9, 10, 11, len(self.content) // OBJECT - 1):
            self.image.write(bytes(OBJECT), number * OBJECT)

    # Changes, of the image and of the model

    def noise(self, length: int) -> bytes:
        """Return bytes that no other data has."""
        return noise(next(self.stage.seeds), length)

    def put(self, offset: int, data: bytes) -> None:
        """Change the expected content."""
        self.content[offset : offset + len(data)] = data

    def write(self, offset: int, length: int) -> None:
        """Write within the image, truncated at its end."""
        length = max(min(length, len(self.content) - offset), 0)
        if length:
            data = self.noise(length)
            self.image.write(data, offset)
            self.put(offset, data)

    def discard(self, offset: int) -> None:
        """Discard whole objects, which librbd does not skip, from an offset or before it."""
        offset -= offset % self.period
        length = min(self.period, len(self.content) - offset)
        if length > 0:
            self.image.discard(offset, length)
            self.put(offset, bytes(length))

    def snapshot(self, name: str) -> int:
        """Take a snapshot. Return its id."""
        self.image.create_snap(name)
        self.snapshots[name] = bytes(self.content)
        # Ceph 14 does not have snap_get_id.
        return next(one["id"] for one in self.image.list_snaps() if one["name"] == name)

    def resize(self, size: int) -> None:
        self.image.resize(size)
        self.content = bytearray(bytes(self.content[:size]).ljust(size, b"\0"))

    def begin(self) -> None:
        """Make the history of all images, up to the snapshot."""
        self.write(0, 5000)
        self.write(3 * OBJECT + 123, OBJECT + 7000)
        self.write(8 * OBJECT, OBJECT)
        self.write(max(len(self.content) - 1000, 0), 1000)
        self.snapshot(BEFORE)

    def go_on(self) -> None:
        """Make the changes after the snapshot."""
        self.write(100, 100)
        self.write(5 * OBJECT + 512, 3000)
        self.discard(8 * OBJECT)
        self.write(11 * OBJECT - 300, 600)

    def open_at(self, number: int, content: bytes) -> None:
        """Set the handle to a snapshot of any namespace."""
        self.image.set_snap_by_id(number)
        self.at = number
        self.head = bytes(self.content)
        self.content = bytearray(content)

    # What is there

    @contextlib.contextmanager
    def looking_at(self, snapshot: str) -> Iterator[rbd.Image]:
        """Read from the snapshot for the duration of the body."""
        self.image.set_snap(snapshot)
        try:
            yield self.image
        finally:
            self.image.set_snap_by_id(self.at)

    def check(self) -> None:
        """Check that the image reads as expected."""
        compare(read_all(self.image), bytes(self.content), "the image")

    def resume(self) -> None:
        """Take the image's content as the expected one, after they differed."""
        self.content = bytearray(read_all(self.image))


def compare(found: bytes, expected: bytes, what: str) -> None:
    """Raise AssertionError with the ranges that differ."""
    if found == expected:
        return
    told = f"{what} has {len(found)} bytes and should have {len(expected)}"
    sectors = [
        at // 512
        for at in range(0, min(len(found), len(expected)), 512)
        if found[at : at + 512] != expected[at : at + 512]
    ]
    zero = sum(not any(found[at * 512 : at * 512 + 512]) for at in sectors)
    raise AssertionError(
        f"{told}; {len(sectors)} sectors of 512 bytes differ, {zero} of them are zeroes: "
        f"{sectors[:10]}"
    )


# The kinds

Maker = Callable[[PoolStage], Subject]


def new(stage: PoolStage, ioctx: Any = None, size: int = SIZE, **create: Any) -> Subject:
    """Make an image without a history."""
    ioctx = ioctx or stage.ioctx
    name = stage.name()
    create = {"order": ORDER, "features": MAPPED, **create}
    rbd.RBD().create(ioctx, name, size, **create)
    return Subject(stage, ioctx, name, create)


def plain(stage: PoolStage, **create: Any) -> Subject:
    subject = new(stage, **create)
    subject.begin()
    subject.go_on()
    return subject


def like(**create: Any) -> Maker:
    """Make an image with other options, and the history of the plain one."""
    return functools.partial(plain, **create)


def encrypted(format: int) -> Maker:
    def make(stage: PoolStage) -> Subject:
        subject = new(stage, size=HEADERS[format] + SIZE)
        subject.encrypt(format)
        subject.begin()
        subject.go_on()
        return subject

    return make


def child_of(stage: PoolStage, parent: Subject, size: Optional[int] = None) -> Subject:
    """Make a clone of an image's present state, with a further history."""
    for offset in (2 * OBJECT + 77, 6 * OBJECT, 9 * OBJECT + 5, 13 * OBJECT):
        parent.write(offset, OBJECT)
    parent.snapshot("parent")
    parent.image.protect_snap("parent")
    name = stage.name("clone")
    rbd.RBD().clone(
        stage.ioctx, parent.name, "parent", stage.ioctx, name, order=ORDER, features=MAPPED
    )
    subject = Subject(stage, stage.ioctx, name, parent.create)
    subject.encryption = parent.encryption
    subject.unlock(subject.image)
    subject.content = bytearray(parent.content)
    subject.kept.append(parent)
    if size is not None:
        subject.resize(size)
    subject.begin()
    subject.go_on()
    return subject


def clone(stage: PoolStage) -> Subject:
    return child_of(stage, new(stage))


def clone_that_grew(stage: PoolStage) -> Subject:
    return child_of(stage, new(stage, size=10 * OBJECT), SIZE)


def clone_that_shrank(stage: PoolStage) -> Subject:
    return child_of(stage, new(stage), 10 * OBJECT)


def clone_of_encrypted(stage: PoolStage) -> Subject:
    parent = new(stage, size=HEADERS[LUKS1] + SIZE)
    parent.encrypt(LUKS1)
    return child_of(stage, parent)


def resized(stage: PoolStage) -> Subject:
    """Lose data while the image is small, between two snapshots."""
    subject = new(stage)
    subject.begin()
    subject.resize(5 * OBJECT + 1000)
    subject.snapshot("small")
    subject.resize(SIZE)
    subject.go_on()
    subject.snapshot("large")
    return subject


def resized_in_between(stage: PoolStage) -> Subject:
    """Lose data while the image is small, without a snapshot of that size."""
    subject = new(stage)
    subject.begin()
    subject.resize(3 * OBJECT)
    subject.resize(SIZE)
    subject.go_on()
    return subject


def rolled_back(stage: PoolStage) -> Subject:
    """The object maps do not name what the rollback changed since the later snapshot."""
    subject = new(stage)
    subject.write(3 * OBJECT, 2 * OBJECT)
    subject.write(8 * OBJECT, OBJECT)
    for name in ("oldest", "older"):
        subject.snapshot(name)
    subject.begin()
    subject.image.rollback_to_snap("older")
    subject.content = bytearray(subject.snapshots["older"])
    return subject


def grown(stage: PoolStage) -> Subject:
    subject = new(stage, size=9 * OBJECT)
    subject.begin()
    subject.resize(SIZE)
    subject.go_on()
    return subject


def emptied(stage: PoolStage) -> Subject:
    """Remove everything that the snapshot has."""
    subject = new(stage)
    subject.begin()
    subject.resize(0)
    return subject


def map_invalid(stage: PoolStage) -> Subject:
    """Make an image without an object map, and let librbd flag the new map as invalid."""
    subject = plain(stage, features=LOCK)
    subject.image.update_features(MAPS, True)
    assert subject.image.flags() & rbd.RBD_FLAG_OBJECT_MAP_INVALID
    subject.write(6 * OBJECT, 1000)
    return subject


def in_namespace(stage: PoolStage) -> Subject:
    return plain(stage, ioctx=stage.namespace())


def open_elsewhere(stage: PoolStage) -> Subject:
    """Let another client write last, and hand the lock over."""
    subject = plain(stage)
    other = rbd.Image(stage.elsewhere, subject.name)
    subject.kept.append(other)
    data = subject.noise(9000)
    other.write(data, 10 * OBJECT)
    other.flush()
    subject.put(10 * OBJECT, data)
    return subject


def locked_elsewhere(stage: PoolStage) -> Subject:
    """Let another client take and keep the lock."""
    subject = plain(stage)
    other = rbd.Image(stage.elsewhere, subject.name)
    other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    subject.kept.append(other)
    return subject


def live_import(stage: PoolStage) -> Subject:
    """Import an image whose data is still in a file."""
    content = bytearray(SIZE)
    for offset in (0, 3 * OBJECT + 100, 8 * OBJECT, SIZE - 1000):
        data = noise(next(stage.seeds), min(OBJECT, SIZE - offset))
        content[offset : offset + len(data)] = data
    file = stage.directory / stage.name("raw")
    file.write_bytes(content)
    name = stage.name("imported")
    spec = {"type": "raw", "stream": {"type": "file", "file_path": str(file)}}
    rbd.RBD().migration_prepare_import(json.dumps(spec), stage.ioctx, name, order=ORDER)
    subject = Subject(stage, stage.ioctx, name, {"order": ORDER, "features": MAPPED})
    subject.content = content
    subject.snapshot(BEFORE)
    subject.go_on()
    return subject


def migrating(stage: PoolStage, execute: bool) -> Subject:
    source = plain(stage)
    source.image.close()
    name = stage.name("moved")
    rbd.RBD().migration_prepare(stage.ioctx, source.name, stage.ioctx, name, order=ORDER)
    if execute:
        rbd.RBD().migration_execute(stage.ioctx, name)
    subject = Subject(stage, stage.ioctx, name, source.create)
    subject.content = source.content
    subject.snapshots = source.snapshots
    subject.write(12 * OBJECT, 700)
    return subject


def read_only(stage: PoolStage) -> Subject:
    subject = plain(stage)
    subject.image.close()
    subject.image = rbd.Image(stage.ioctx, subject.name, read_only=True)
    return subject


def at_user_snapshot(stage: PoolStage) -> Subject:
    subject = plain(stage)
    number = subject.snapshot("later")
    subject.write(2 * OBJECT, 100)
    subject.open_at(number, subject.snapshots["later"])
    return subject


def at_trashed_snapshot(stage: PoolStage) -> Subject:
    """Open at a removed snapshot that a clone keeps."""
    subject = plain(stage)
    number = subject.snapshot("trashed")
    name = stage.name("clone")
    rbd.RBD().clone(stage.ioctx, subject.name, "trashed", stage.ioctx, name, clone_format=2)
    subject.image.remove_snap("trashed")
    content = subject.snapshots.pop("trashed")
    subject.write(2 * OBJECT, 100)
    subject.open_at(number, content)
    return subject


def _newest(subject: Subject, namespace: int) -> int:
    """Return the id of the image's only snapshot in a namespace."""
    (number,) = (
        entry["id"] for entry in subject.image.list_snaps() if entry["namespace"] == namespace
    )
    return int(number)


def at_group_snapshot(stage: PoolStage) -> Subject:
    subject = plain(stage)
    name = stage.name("group")
    rbd.RBD().group_create(stage.ioctx, name)
    group = rbd.Group(stage.ioctx, name)
    group.add_image(stage.ioctx, subject.name)
    group.create_snap("together")
    content = bytes(subject.content)
    subject.write(2 * OBJECT, 100)
    subject.open_at(_newest(subject, rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP), content)
    return subject


def at_mirror_snapshot(stage: PoolStage) -> Subject:
    subject = plain(stage)
    rbd.RBD().mirror_mode_set(stage.ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    subject.image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
    content = bytes(subject.content)
    subject.write(2 * OBJECT, 100)
    subject.open_at(_newest(subject, rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR), content)
    return subject


def in_second_pool(stage: PoolStage) -> Subject:
    return plain(stage, data_pool=stage.second_pool)


class Kind(NamedTuple):
    make: Maker
    #: The C functions that the kind needs.
    needs: Tuple[str, ...] = ()


ENCRYPTION = ("rbd_encryption_format",)
KINDS: Dict[str, Kind] = {
    "plain": Kind(plain),
    "LUKS1": Kind(encrypted(LUKS1), ENCRYPTION),
    "LUKS2": Kind(encrypted(LUKS2), ENCRYPTION),
    "clone": Kind(clone),
    "clone that grew": Kind(clone_that_grew),
    "clone that shrank": Kind(clone_that_shrank),
    "clone of encrypted": Kind(clone_of_encrypted, ENCRYPTION),
    "striped": Kind(like(stripe_unit=OBJECT // 4, stripe_count=3)),
    "resized": Kind(resized),
    "resized in between": Kind(resized_in_between),
    "rolled back": Kind(rolled_back),
    "grown": Kind(grown),
    "emptied": Kind(emptied),
    "size 0": Kind(like(size=0)),
    "uneven size": Kind(like(size=SIZE - 12345)),
    "data pool": Kind(in_second_pool),
    "journal": Kind(like(features=LOCK | rbd.RBD_FEATURE_JOURNALING)),
    "no object map": Kind(like(features=LOCK)),
    "no features": Kind(like(features=0)),
    "object map invalid": Kind(map_invalid),
    "open elsewhere": Kind(open_elsewhere),
    "locked elsewhere": Kind(locked_elsewhere),
    "namespace": Kind(in_namespace),
    "live import": Kind(live_import, ("rbd_migration_prepare_import",)),
    "migrating": Kind(functools.partial(migrating, execute=False)),
    "migrated": Kind(functools.partial(migrating, execute=True)),
    "read-only": Kind(read_only),
    "user snapshot": Kind(at_user_snapshot),
    "trashed snapshot": Kind(at_trashed_snapshot),
    "group snapshot": Kind(at_group_snapshot),
    "mirror snapshot": Kind(at_mirror_snapshot, ("rbd_mirror_image_enable2",)),
}
